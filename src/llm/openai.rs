//! OpenAI-compatible providers, through async-openai.
