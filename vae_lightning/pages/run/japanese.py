"""Japanese for the English phrases that parts and data sets say of themselves: English phrase -> Japanese phrase."""

JAPANESE: dict[str, str] = {
    # --- networks
    "A dense network of {hidden} {activation} units on each side": (
        "エンコーダー・デコーダーとも {activation} 層（{hidden} ユニット）"
    ),
    "One affine map on each side": "エンコーダー・デコーダーともアフィン写像1つ",
    "Strided convolutions of {widths} channels and {hidden} {activation} units on each side": (
        "エンコーダー・デコーダーとも"
        "ストライド付き畳み込み（{widths} チャンネル）と {activation} 層（{hidden} ユニット）"
    ),
    "Residual blocks of {widths} channels ({depths} a level) and {hidden} units on each side": (
        "エンコーダー・デコーダーとも"
        "残差ブロック（{widths} チャンネル、各段 {depths} 個）と全結合層（{hidden} ユニット）"
    ),
    # --- latent spaces
    "{dim} latent units": "潜在変数 {dim} 次元",
    "{dim} latent units, their prior a mixture of the posteriors of {components} pseudo-inputs": (
        "潜在変数 {dim} 次元（事前分布は擬似入力 {components} 個の事後分布の混合）"
    ),
    "{dim} latent units below {top} others": "潜在変数 {dim} 次元（その上に {top} 次元の潜在変数）",
    "{dim} latent units, their posterior a flow of {steps} inverse autoregressive steps": (
        "潜在変数 {dim} 次元（事後分布は {steps} 段の逆自己回帰フロー）"
    ),
    # --- likelihoods
    "Bernoulli, on probabilities": "ベルヌーイ分布（確率）",
    "Bernoulli, on logits": "ベルヌーイ分布（ロジット）",
    "continuous Bernoulli": "連続ベルヌーイ分布",
    "a logistic on 256 levels": "256 階調のロジスティック分布",
    "Gaussian, of one given variance": "分散を固定したガウス分布",
    "Gaussian, mean and variance from z": "平均と分散が z で決まるガウス分布",
    "Laplace, mean and scale from z": "平均と尺度が z で決まるラプラス分布",
    "Gaussian, of the optimal shared variance": "最適な共有分散のガウス分布",
    "Gaussian, of one learned variance": "分散を1つ学習するガウス分布",
    "Gaussian of variance 1/2 (squared error)": "分散 1/2 のガウス分布（二乗誤差）",
    "Gaussian with an unbounded mean": "平均に制限のないガウス分布",
    "Gaussian of the optimal variance, with an unbounded mean": "平均に制限のない、最適な分散のガウス分布",
    # --- bounds
    "the ELBO, its KL led to a capacity": "KL を容量へ導く ELBO",
    "the ELBO, estimator B, L = {num_samples}": "ELBO（推定量 B、L = {num_samples}）",
    "the ELBO, estimator A, L = {num_samples}": "ELBO（推定量 A、L = {num_samples}）",
    "the ELBO with free bits": "フリービット付き ELBO",
    "the importance-weighted bound, K = {num_samples}": "重要度重み付き下界（K = {num_samples}）",
    "the importance-weighted bound, DReG, K = {num_samples}": "重要度重み付き下界（DReG、K = {num_samples}）",
    "the importance-weighted bound, STL, K = {num_samples}": "重要度重み付き下界（STL、K = {num_samples}）",
    "the mean of {groups} importance-weighted bounds, K = {samples_per_group}": (
        "{groups} 個の重要度重み付き下界の平均（K = {samples_per_group}）"
    ),
    # --- optimizers
    "Adam, lr {lr}": "Adam、lr {lr}",
    "AdamW, lr {lr}, weight decay {weight_decay}": "AdamW、lr {lr}、重み減衰 {weight_decay}",
    "Adagrad, lr {lr}": "Adagrad、lr {lr}",
    "Muon, lr {lr}": "Muon、lr {lr}",
    # --- schedules of the learning rate
    ", falling along a cosine": "（余弦で減衰）",
    ", in one cycle": "（1サイクル）",
    ", in steps": "（段階的に減衰）",
    # --- schedules
    ", annealed along a cosine": "（余弦で上昇）",
    ", annealed in cycles": "（周期的に上昇）",
    ", annealed linearly": "（線形に上昇）",
    ", annealed along a sigmoid": "（シグモイドで上昇）",
    ", up and down again": "（上昇して下降）",
    # --- classes of Fashion-MNIST
    "T-shirt": "Tシャツ",
    "Trouser": "ズボン",
    "Pullover": "プルオーバー",
    "Dress": "ドレス",
    "Coat": "コート",
    "Sandal": "サンダル",
    "Shirt": "シャツ",
    "Sneaker": "スニーカー",
    "Bag": "バッグ",
    "Boot": "ブーツ",
    # --- classes of CIFAR-10
    "airplane": "飛行機",
    "automobile": "自動車",
    "bird": "鳥",
    "cat": "猫",
    "deer": "鹿",
    "dog": "犬",
    "frog": "カエル",
    "horse": "馬",
    "ship": "船",
    "truck": "トラック",
    # --- shapes of the sprites
    "square": "正方形",
    "ellipse": "楕円",
    "heart": "ハート",
}


def japanese(phrase: str) -> str:
    """The Japanese of a phrase; the phrase itself if it has none."""
    return JAPANESE.get(phrase, phrase)
