"""A teacher made of a chat model: asked, checked, cached, and stood in for."""
