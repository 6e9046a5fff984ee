"""Guest sources, the recipes that build them, and the built modules beside them."""
