"""The model in the box: world -> autoencoder -> text encoder and U-Net -> export -> judge -> card."""
