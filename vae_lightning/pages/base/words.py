"""The words that both pages use: key -> (English, Japanese). The markup is ours; values of {names} are escaped."""

COMMON: dict[str, tuple[str, str]] = {
    "language": ("Language", "言語"),
    "theme": ("Light or dark", "明るい・暗い表示"),
    "skip": ("Skip to the content", "本文へ移動"),
    "contents": ("Contents", "目次"),
    "footer": (
        "Written by <code>vae_lightning</code> {version}. One file: no network, no server, nothing is sent.",
        "<code>vae_lightning</code> {version} が書き出しました。この1ファイルだけで動き、通信は一切しません。",
    ),
    "no_script": (
        "This page draws its charts with a script of its own; it is switched off in this browser.",
        "このページの図はページ内のスクリプトが描きます。このブラウザではスクリプトが無効です。",
    ),
    "nats": ("nats", "nats"),
    "epoch": ("epoch", "エポック"),
    "copy": ("Copy", "コピー"),
    "copied": ("Copied", "コピーしました"),
    "chart_keys": ("arrow keys read the values", "矢印キーで値を読めます"),
    "scroll_hint": ("\u2190 scroll sideways: there is more \u2192", "← 横にスクロールすると続きがあります →"),
    "show": ("show or hide", "表示・非表示"),
}
