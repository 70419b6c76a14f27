"""Classifiers of texts with random weights, texts that are hard to cut, and interventions: for the live page."""

from functools import cache

import torch

from gatewise.data.tokenizer import Tokenizer
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.encode import TextEncoder
from gatewise.tasks.classify.fitted import FittedClassifier, text_embedding
from gatewise.tasks.classify.model import SequenceClassifier

CORPUS = [
    "A fine film, a great film. The music was lovely and it had no dull minute!",
    "It was dull, dull, dull; 3.5 of 10 stars, and I don't know why it's so long...",
    "Éclair naïve ÇA œuvre straße ΣΊΣΥΦΟΣ σίσυφος ИВАН иван ǅungla İstanbul i\u0307stanbul ＡＢＣ ａｂｃ Ⓐ ⓐ",
    "日本語の映画 とても良い 한국어 영화 שלום עולם مرحبا بالعالم हिन्दी फ़िल्म ไทย ภาพยนตร์",
]
TEXT = "A fine film. The music was lovely, and it had no dull minute!"
TEXTS = {
    "plain": "The film was fine and the music was great.",
    "capitals": "GREAT FILM! It's DULL, don't WATCH",
    "numbers": "3.5 of 10, 1,000.25 stars 3. 5 .5 5. 3..5 1.2.3 v1.0 a3.5 3.5a ½ ² Ⅷ ३.५ 1'2",
    "apostrophes": "don't don’t 'tis rock'n'roll dogs' ''no'' I'm we've they'll he'd 'S 's'",
    "line breaks": "one<br />two<BR>three<br\t/ >four<br/>five< br>six<bR \n />seven<brr>eight<b",
    "unknown words": "zyzzyva quux film xyzzy",
    "accents": "Éclair e\u0301clair NAÏVE nai\u0308ve straße STRASSE œuvre ŒUVRE",
    "greek": "ΣΊΣΥΦΟΣ Σ ΣΣ σίσυφος Οδυσσεύς",
    "turkish": "İstanbul ISTANBUL ıstanbul i\u0307stanbul İİ",
    "scripts": "日本語の映画 とても良い한국어 שלום مرحبا हिन्दी ไทยภาพยนตร์ Ђорђе ԱՐԵՎ",
    "capitals of many scripts": "Ⴀⴀ Ა ა ᲐᲑ Ꭰꭰ 𐐀𐐨 𝒜𝟙 ＡＢＣ Ⓐⓑ ǅ ǆ ẞ ß",
    "emoji": "great 👍🏽 film 👩‍👩‍👧 ❤️ 🇨🇭 1️⃣ ☺",
    "blanks": " \t film\u00a0was\u2003dull\u3000\u2028now\u2029\u0085then\x1cand\x1f\u200bso\ufeff  \n\n ",
    "odd characters": "\0 \x07 \u202eevil\u2066 \ufffd \ue000 \U000f0000 \u0378 a\u0378b \U0010ffff \ufdd0",
    "new characters": "\u1c89\u1c8a \ua7cb\ua7da \U00010d50 \U00016ea0 \U000105c0 \u0897",
    "signs": "...!? -- ### a-b_c/d @me #tag $5 50% (ok) [x] {y} «z» „w“ ¿qué? ¡ay! ~ ^ ` |",
    "markup": "<script>alert(1)</script> &lt;b&gt; <img src=x onerror=alert(1)> <unk> <pad>",
    "one word": "film",
    "one long word": "dulldull" * 400,
    "long": " ".join(CORPUS * 4),
    "empty": "",
    "nothing but blanks": " \n\t ",
}


def fitted(
    tokenizer: str = "words",
    labels: int = 2,
    bigrams: int = 0,
    spread: float = 1.0,
    seed: int = 0,
    texts: list[str] | None = None,
    **options,
) -> FittedClassifier:
    """A classifier with random weights of this spread; where it is large, small differences grow from step to step."""
    config = ClassifyConfig(
        **{"embedding_size": 7, "hidden_size": 6, "max_length": 30, "bigrams": bigrams, "device": "cpu"}
        | options
    )
    cut = trained_tokenizer(tokenizer) if texts is None else Tokenizer.train(texts, "words", 300, 1)
    size = cut.vocab_size
    draw = torch.Generator().manual_seed(seed)
    pairs = torch.randperm(size * size, generator=draw)[:bigrams].sort().values
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        embedding = text_embedding(config, size, pairs)
        network = SequenceClassifier(config, labels, embedding=embedding).eval()
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                scale = 1.0 if name.startswith("embedding") else spread / parameter.shape[-1] ** 0.5
                parameter.normal_(std=scale)
    encoder = TextEncoder(cut, config.max_length, config.truncate)
    names = ["neg", "pos", "mixed", "none"][:labels]
    return FittedClassifier(config, network, encoder, list(names), 1.3, {"notes": []})


def tokenizer_of(model: FittedClassifier) -> Tokenizer:
    assert isinstance(model.encoder, TextEncoder)
    return model.encoder.tokenizer


@cache
def trained_tokenizer(kind: str) -> Tokenizer:
    return Tokenizer.train(CORPUS, "words" if kind == "words" else "bpe", 300 if kind == "words" else 420, 1)
