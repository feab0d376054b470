"""Speech codes to mel frames by flow matching (published twin: the flow of GLM-4-Voice's decoder)."""
