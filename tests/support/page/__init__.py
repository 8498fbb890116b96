"""The real service with a worker that paints landscapes step by step, for the page in a browser."""
