"""What both pages share: rendering, words, pictures, the frame, its style and scripts."""
