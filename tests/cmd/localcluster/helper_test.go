package main

import (
	"os"
	"os/exec"
	"path/filepath"

	. "github.com/onsi/gomega"
)

type helper struct {
	cmd *exec.Cmd
	out string
}

func startHelper(g *WithT, dir string) helper {
	h := helper{cmd: exec.Command("/proc/self/exe"), out: filepath.Join(dir, "out")}
	out, err := os.Create(h.out)
	g.Expect(err).NotTo(HaveOccurred())
	defer out.Close()
	h.cmd.Env = append(os.Environ(), helperDir+"="+dir)
	h.cmd.Stdout, h.cmd.Stderr = out, os.Stderr
	g.Expect(h.cmd.Start()).To(Succeed())
	return h
}
