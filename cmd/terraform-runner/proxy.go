package main

import (
	"cmp"
	"strings"
)

// proxyEnvironment completes the settings of a proxy: programs differ in whether they read capital or small letters (git takes the
// proxy for http:// from small ones only), and no way to the API server leads through a proxy.
func proxyEnvironment(getenv func(string) string) map[string]string {
	env := map[string]string{}
	set := func(name, value string) {
		if value != "" {
			env[name], env[strings.ToLower(name)] = value, value
		}
	}
	either := func(name string) string { return cmp.Or(getenv(name), getenv(strings.ToLower(name))) }
	set("HTTP_PROXY", either("HTTP_PROXY"))
	set("HTTPS_PROXY", either("HTTPS_PROXY"))
	if len(env) == 0 {
		return nil
	}
	direct := []string{either("NO_PROXY"), getenv("KUBERNETES_SERVICE_HOST")}
	set("NO_PROXY", strings.Trim(strings.Join(direct, ","), ","))
	return env
}
