"""The generate recipe: language models over characters, bytes, byte pairs or words."""
