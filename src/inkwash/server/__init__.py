"""The service over HTTP: its own API, A1111's, OpenAI's.  It knows requests, jobs and pictures, never tensors."""
