"""The networks, each written once, sized by its config, with the published state-dict key names."""
