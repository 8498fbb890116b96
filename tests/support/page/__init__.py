"""A stand-in of the service for the page: its routes and events, no model, pictures made by arithmetic."""
