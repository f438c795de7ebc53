"""The words that differ on the page of a run on vectors: key -> (English, Japanese)."""

VECTOR_WORDS: dict[str, tuple[str, str]] = {
    "picks": ("Between two test vectors", "2つのテストベクトルのあいだ"),
    "picks_lead": (
        "Choose two; the slider walks from the mean of one posterior to that of the other.",
        "2つ選ぶと、スライダーで一方の事後分布の平均からもう一方の平均まで移動します。",
    ),
    "pick": ("test vector {index}, {name}", "テストベクトル {index}、{name}"),
    "pick_plain": ("test vector {index}", "テストベクトル {index}"),
    "posterior_none": (
        "Choose a test vector: its posterior appears here and on the plane.",
        "テストベクトルを選ぶと、その事後分布がここと平面に表示されます。",
    ),
    "looked_up": ("nearest of {n} curves computed beforehand", "あらかじめ計算した {n} 本のうち最も近いもの"),
    "size_note": (
        "Decoder: {parameters} weights in fp{bits}, {operations} multiplications a vector; agrees with torch to a "
        "thousandth of the data's range.",
        "デコーダー：重み {parameters} 個（fp{bits}）、1ベクトルあたり乗算 {operations} 回。"
        "torch との差はデータの範囲の千分の1以内です。",
    ),
    "why": (
        "The decoder itself is not in this page, but {n} vectors that it computed beforehand: {reason}",
        "このページにはデコーダーそのものではなく、あらかじめ計算したベクトル {n} 本があります：{reason}",
    ),
    "why_encoder": ("The encoder is not in this page: {reason}", "このページにはエンコーダーがありません：{reason}"),
    "draw": ("The encoder", "エンコーダー"),
    "no_data": (
        "There are no encoded test vectors on this page: {error} "
        "<code>python -m vae_lightning.report RUN data_dir=DIR</code> takes them from another folder.",
        "このページにはテストベクトルの符号化結果がありません：{error} "
        "<code>python -m vae_lightning.report RUN data_dir=DIR</code> で別のフォルダーから読めます。",
    ),
    "curves_lead": (
        "Nats per vector, by epoch. The shaded band is β, the weight of the KL, from the first to the last step of "
        "each epoch; the dotted line is its mean where it changes.",
        "1ベクトルあたりの nats をエポックごとに示します。帯は各エポックの最初から最後のステップまでの β（KL の重み）、"
        "点線はエポック内で変わる場合の平均です。",
    ),
    "curves_lead_end": (
        "Nats per vector, by epoch. The shaded band is β, the weight of the KL, at the end of each epoch.",
        "1ベクトルあたりの nats をエポックごとに示します。帯は各エポック末の β（KL の重み）です。",
    ),
    "units_note": (
        "Grey units are inactive: the mean of q(z<sub>j</sub>|x) varies by less than 0.01 over the vectors "
        "(Burda et al. 2016).",
        "灰色のユニットは使われていません：q(z<sub>j</sub>|x) の平均の、ベクトル間での分散が 0.01 以下です"
        "（Burda et al. 2016）。",
    ),
    "epochs_lead": (
        "The same test vectors and the same z in each epoch; 0 is the untrained model.",
        "どのエポックでも同じテストベクトルと同じ z です。0 は学習前のモデルです。",
    ),
    "reconstructions": (
        "Originals x in grey, and reconstructions E[x|z] in blue",
        "灰色は元のベクトル x、青は再構成 E[x|z]",
    ),
    "bound_lead": (
        "Every number on this page is a part of this one line. Values: {split}, nats per vector.",
        "このページの数値はすべて、この1行の一部です。値は{split}、1ベクトルあたり nats です。",
    ),
    "sizes": ("Vectors", "ベクトル数"),
}
