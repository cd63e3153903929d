"""Several Ray nodes on this machine, in a process of their own: ``kill`` on stdin takes one away without a word.

The first line that it writes is the address. Ray's own warnings stay out of the tests, where warnings are errors.
"""

from __future__ import annotations

import os
import sys


def main(workers: int, cpus: int) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    # 127.0.0.1 itself is taken by Ray for the outer address
    options = {"object_store_memory": 80 * 2**20, "node_ip_address": "127.0.0.2"}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **options})
    nodes = [cluster.add_node(num_cpus=cpus, **options) for _ in range(workers)]
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            print("killed", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
