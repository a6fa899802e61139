package runner

import (
	"testing"

	. "github.com/onsi/gomega"
)

// environmentOf is a Config whose environment is a map.
func environmentOf(env map[string]string) *Config {
	return &Config{
		Getenv:   func(name string) string { return env[name] },
		Setenv:   func(name, value string) error { env[name] = value; return nil },
		Unsetenv: func(name string) error { delete(env, name); return nil },
	}
}

func TestEnvironment_OfARunIsTakenBack(t *testing.T) {
	g := NewWithT(t)
	env := map[string]string{"TF_CLI_CONFIG_FILE": "of the image", "HOME": "/home"}
	cfg := environmentOf(env)
	tracked := cfg.track()
	for range 2 {
		g.Expect(cfg.Setenv("TF_CLI_CONFIG_FILE", "first")).To(Succeed())
		g.Expect(cfg.Setenv("TF_CLI_CONFIG_FILE", "second")).To(Succeed())
		g.Expect(cfg.Setenv("TF_TOKEN_a", "token")).To(Succeed())
		g.Expect(env).To(Equal(map[string]string{"TF_CLI_CONFIG_FILE": "second", "HOME": "/home", "TF_TOKEN_a": "token"}))
		g.Expect(tracked.restore()).To(Succeed())
		g.Expect(env).To(Equal(map[string]string{"TF_CLI_CONFIG_FILE": "of the image", "HOME": "/home"}))
	}
}
