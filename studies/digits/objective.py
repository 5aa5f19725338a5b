"""Cross-validated accuracy of a support-vector classifier on scikit-learn's digits."""

from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC


def accuracy(C: float, gamma: float | str, kernel: str) -> float:  # noqa: N803 - scikit-learn's name
    """Return the mean accuracy of scikit-learn's default cross-validation, five folds; between 0 and 1."""
    images, digits = load_digits(return_X_y=True)
    return float(cross_val_score(SVC(C=C, gamma=gamma, kernel=kernel), images, digits).mean())
