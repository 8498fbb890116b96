"""The small upscaler in the box: pairs of pictures -> network -> export -> measure."""
