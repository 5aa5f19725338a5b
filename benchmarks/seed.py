"""The blog post's loop in one process, the baseline of `bayesopt run`: scikit-optimize and joblib on Branin."""

from joblib import Parallel, delayed
from skopt import Optimizer
from skopt.benchmarks import branin
from skopt.space import Real


def main() -> None:
    """Run the loop and print the best value."""
    optimizer = Optimizer([Real(-5.0, 10.0), Real(0.0, 15.0)], base_estimator="GP", random_state=1)
    for _ in range(4):
        points = optimizer.ask(n_points=4)
        values = Parallel(n_jobs=4)(delayed(branin)(point) for point in points)
        optimizer.tell(points, values)
    print(min(optimizer.yi))


if __name__ == "__main__":
    main()
