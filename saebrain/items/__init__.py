"""Item-level encoding: one response per text (a sentence, a passage), predicted from a language model's features of it."""
