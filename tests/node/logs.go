package node

import (
	"fmt"
	"os"
	"path/filepath"
)

// NamespaceLogs are what all containers of a namespace have written, those of pods that are gone, too; by the files' paths.
func (n *Node) NamespaceLogs(namespace string) (map[string]string, error) {
	paths, err := filepath.Glob(filepath.Join(n.opts.Dir, "pods", namespace+"_*", "*.log"))
	if err != nil {
		return nil, fmt.Errorf("finding the logs: %w", err)
	}
	logs := make(map[string]string, len(paths))
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading a log: %w", err)
		}
		logs[path] = string(data)
	}
	return logs, nil
}
