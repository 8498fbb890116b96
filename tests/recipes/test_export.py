"""What the export changes in the autoencoder, it changes without changing pictures."""

import torch
from recipes.box.export import SD1_SCALE, blended, normalize_latents

from inkwash.checkpoint.spec import VAESpec
from inkwash.models.vae import VAE


def test_latents_come_to_mean_0_and_variance_1_and_pictures_stay() -> None:
    torch.manual_seed(0)
    vae = VAE(VAESpec(latent_channels=4, channels=(32, 32), layers=1, scale_factor=SD1_SCALE)).eval()
    pictures = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        before, variance_before = vae.encode(pictures)
        decoded = vae.decode(before)
        normalize_latents(vae, before.mean((0, 2, 3)), before.std((0, 2, 3)))
        after, variance_after = vae.encode(pictures)
        scaled = after * SD1_SCALE
        torch.testing.assert_close(scaled.mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
        torch.testing.assert_close(scaled.std((0, 2, 3)), torch.ones(4), atol=1e-4, rtol=0)
        torch.testing.assert_close(vae.decode(after), decoded, atol=1e-4, rtol=1e-4)
    # the posterior's deviation grows by as much as the latents
    growth = (variance_after - variance_before).mean((0, 2, 3)) / 2
    torch.testing.assert_close(growth.exp(), 1 / (before.std((0, 2, 3)) * SD1_SCALE), atol=1e-4, rtol=1e-4)


def test_a_blend_lies_between_before_and_after() -> None:
    before, after = {"w": torch.tensor([0.0, 2.0])}, {"w": torch.tensor([1.0, 4.0])}
    torch.testing.assert_close(blended(after, {"average": before}, 0.25)["w"], torch.tensor([0.25, 2.5]))
    assert blended(after, None, 0.25)["w"] is after["w"]
