"""Jobs: requests that are kept, taken by workers, watched, cancelled, and never lost.  No torch but in ``worker``."""
