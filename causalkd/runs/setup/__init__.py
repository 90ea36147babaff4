"""A recipe becomes objects: data, models, objectives and trainers, each built once and rehearsed before use."""
