"""The translate recipe: texts to texts, with an encoder, attention and a decoder."""
