"""The caption recipe: pictures, or clips of frames, to sentences, with attention over what is seen."""
