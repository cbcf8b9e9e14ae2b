"""One request's way, without HTTP, pydantic or torch: from a job's prompt to token ids, from steps to text.

load_tokenizer(folder, settings) -> Tokenizer                        tokenizer.py
    encode(text, special=True), encode_target(text), decode(ids), stream(), source_tokens, target_tokens,
    special_ids, bos_id, eos_id, pad_id
languages_of(folder, tokenizer) -> Languages | None                  tokenizers/languages.py
    codes, encode(text, source_lang, target_lang), target_id(target_lang, default=forced_bos)
Prompter(folder, settings, tokenizer)                                prompts/prompter.py
    chat(messages) -> Prepared, completion(text) -> Prepared
Prepared(text, special, prefix, options, suppress, text_rules)       prompts/prepared.py
text_chain(tokenizer, stops, prepared) -> TextChain                  text/chain.py
    feed(ids) -> str, flush() -> str, stopped
"""
