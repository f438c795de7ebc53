"""The words of the latent explorer: key -> (English, Japanese). The markup is ours; values of {names} are escaped."""

EXPLORER: dict[str, tuple[str, str]] = {
    "explorer": ("Latent explorer", "潜在空間エクスプローラー"),
    "explorer_lead": (
        "The decoder of this run ({weights}), running in this page. Drag the point, or use the arrow keys.",
        "この実行のデコーダー（{weights}）がこのページの中で動いています。点をドラッグするか、矢印キーで動かしてください。",
    ),
    "explorer_lead_plane": (
        "Pictures of what the decoder of this run makes of z. Drag the point, or use the arrow keys.",
        "この実行のデコーダーが z から作る画像です。点をドラッグするか、矢印キーで動かしてください。",
    ),
    "weights_live": ("the weights at its end", "終了時の重み"),
    "plane_label": (
        "Latent plane: arrow keys move the point, with shift further",
        "潜在平面：矢印キーで点を動かす。Shift を押すと大きく動く",
    ),
    "plane_keys": (
        "<kbd>←</kbd> <kbd>→</kbd> <kbd>↑</kbd> <kbd>↓</kbd> move, with <kbd>shift</kbd> further · "
        "<kbd>g</kbd> manifold · <kbd>p</kbd> points · <kbd>s</kbd> sample · <kbd>m</kbd> morph · <kbd>0</kbd> origin",
        "<kbd>←</kbd> <kbd>→</kbd> <kbd>↑</kbd> <kbd>↓</kbd> で移動（<kbd>shift</kbd> で大きく）・<kbd>g</kbd> 多様体・"
        "<kbd>p</kbd> 点・<kbd>s</kbd> サンプル・<kbd>m</kbd> モーフ・<kbd>0</kbd> 原点",
    ),
    "manifold": ("Manifold", "多様体"),
    "points": ("Test points", "テスト点"),
    "axes_cdf": ("Φ(z), as Fig. 4", "Φ(z)（図4）"),
    "axes_z": ("z", "z"),
    "axes": ("Axes of the plane", "平面の軸"),
    "across": ("across", "横軸"),
    "up": ("up", "縦軸"),
    "digit": ("E[x|z] at the point", "点での E[x|z]"),
    "log_pz": ("log p(z)", "log p(z)"),
    "decoded_in": ("decoded in {ms} ms, in this page", "このページ内で {ms} ms でデコード"),
    "looked_up": ("nearest of {n} pictures drawn beforehand", "あらかじめ描いた {n} 枚のうち最も近いもの"),
    "nats_of": ("{value} nats", "{value} nats"),
    "sample": ("Sample from the prior", "事前分布からサンプル"),
    "morph": ("Morph", "モーフ"),
    "stop": ("Stop", "停止"),
    "origin": ("Origin", "原点"),
    "sliders": ("Latent units, most informative first", "潜在ユニット（情報の多い順）"),
    "slider_kl": ("KL {kl}", "KL {kl}"),
    "unit_slider": ("Latent unit z{unit}, KL {kl} nats", "潜在ユニット z{unit}、KL {kl} nats"),
    "more_units": ("{n} more units, {idle} of them inactive", "残り {n} ユニット（うち {idle} は不使用）"),
    "picks": ("Between two test images", "2枚のテスト画像のあいだ"),
    "picks_lead": (
        "Choose two; the slider walks from the mean of one posterior to that of the other.",
        "2枚選ぶと、スライダーで一方の事後分布の平均からもう一方の平均まで移動します。",
    ),
    "pick": ("test image {index}, {name}", "テスト画像 {index}、{name}"),
    "pick_plain": ("test image {index}", "テスト画像 {index}"),
    "from": ("from", "始点"),
    "to": ("to", "終点"),
    "walk": ("Position between the two", "2枚のあいだの位置"),
    "draw": ("Draw one yourself", "自分で描いてみる"),
    "draw_lead": (
        "The encoder runs here too: it sees your drawing, gives q(z|x), and the decoder answers.",
        "エンコーダーもここで動きます：描いたものから q(z|x) を求め、デコーダーが答えます。",
    ),
    "pad": ("Canvas to draw on with mouse or finger", "マウスや指で描くキャンバス"),
    "pad_hint": ("draw here", "ここに描く"),
    "clear": ("Clear", "消す"),
    "seen": ("what the encoder sees", "エンコーダーが見るもの"),
    "rebuilt": ("its reconstruction", "その再構成"),
    "posterior": ("q(z|x): mean ± σ of each unit; grey is the prior", "q(z|x)：各ユニットの平均 ± σ。灰色は事前分布"),
    "posterior_of_kl": ("KL( q(z|x) ‖ p(z) ) = {kl} nats", "KL( q(z|x) ‖ p(z) ) = {kl} nats"),
    "posterior_open": (
        "KL( q(z|x) ‖ p(z) ) has no closed form in this model.",
        "このモデルでは KL( q(z|x) ‖ p(z) ) を閉じた式で計算できません。",
    ),
    "posterior_none": (
        "Draw, or choose a test image: its posterior appears here and on the plane.",
        "描くかテスト画像を選ぶと、その事後分布がここと平面に表示されます。",
    ),
    "size_note": (
        "Decoder: {parameters} weights in fp{bits}, {operations} multiplications a picture; agrees with torch to 0.001 "
        "per pixel.",
        "デコーダー：重み {parameters} 個（fp{bits}）、1枚あたり乗算 {operations} 回。"
        "torch との差は1画素 0.001 以内です。",
    ),
    "why": (
        "The decoder itself is not in this page, but {n} pictures that it drew beforehand: {reason}",
        "このページにはデコーダーそのものではなく、あらかじめ描いた画像 {n} 枚があります：{reason}",
    ),
    "why_encoder": ("There is no drawing on this page: {reason}", "このページでは描画できません：{reason}"),
    "why_layer": ("the page cannot run a {name} layer.", "このページでは {name} 層を実行できません。"),
    "why_likelihood": ("the page does not know the mean of {name}.", "このページは {name} の平均を計算できません。"),
    "why_cost": (
        "{parameters} weights and {operations} multiplications are more than a page should carry "
        "({most_parameters} and {most_operations}).",
        "重み {parameters} 個・乗算 {operations} 回は、ページの上限"
        "（{most_parameters} 個・{most_operations} 回）を超えます。",
    ),
    "why_no_decoder": (
        "the decoder is not in the page, so nothing could answer.",
        "デコーダーがページにないため、再構成できません。",
    ),
    "why_flow": (
        "its posterior is a flow, and the page runs only the Gaussian that the flow starts from.",
        "事後分布がフローであり、このページで実行できるのはその出発点のガウス分布だけです。",
    ),
    "why_not_finite": ("its weights are not finite numbers.", "重みが有限の数ではありません。"),
    "why_forward": (
        "{name} does more than its layers say.",
        "{name} が、層の並びから分かる以上のことをしています。",
    ),
    "why_no_layers": (
        "the page looks for the layers in {name}, and there are none.",
        "層を {name} に探しましたが、見つかりません。",
    ),
}
