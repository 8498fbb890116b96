"""The pictures the model learns from: what is in them, how they are drawn, what is said about them."""
