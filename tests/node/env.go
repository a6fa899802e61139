package node

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// variable matches what is expanded in commands, arguments and values: $(NAME), and $$ as the escape of $.
var variable = regexp.MustCompile(`\$\$|\$\([^()]*\)`)

func expand(s string, env map[string]string) string {
	return variable.ReplaceAllStringFunc(s, func(match string) string {
		if match == "$$" {
			return "$"
		}
		if value, ok := env[match[2:len(match)-1]]; ok {
			return value
		}
		return match
	})
}

// environment is the container's own: nothing of this process's environment is in it.
func (in *inputs) environment(ctx context.Context, c *corev1.Container, img *image) (map[string]string, error) {
	env := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	maps.Copy(env, img.env())
	maps.Copy(env, map[string]string{
		"HOSTNAME":                      hostname(in.pod),
		"KUBERNETES_SERVICE_HOST":       in.opts.APIServerHost,
		"KUBERNETES_SERVICE_PORT":       in.opts.APIServerPort,
		"KUBERNETES_SERVICE_PORT_HTTPS": in.opts.APIServerPort,
	})
	for _, from := range c.EnvFrom {
		if err := in.envFrom(ctx, from, env); err != nil {
			return nil, err
		}
	}
	for _, e := range c.Env {
		value, ok, err := in.envValue(ctx, e, env)
		if err != nil {
			return nil, err
		}
		if ok {
			env[e.Name] = value
		}
	}
	return env, nil
}

func (in *inputs) envFrom(ctx context.Context, from corev1.EnvFromSource, env map[string]string) (err error) {
	var data map[string][]byte
	switch {
	case from.SecretRef != nil:
		data, err = in.data(ctx, secretKind, from.SecretRef.Name, from.SecretRef.Optional)
	case from.ConfigMapRef != nil:
		data, err = in.data(ctx, configMapKind, from.ConfigMapRef.Name, from.ConfigMapRef.Optional)
	}
	for key, value := range data {
		env[from.Prefix+key] = string(value)
	}
	return err
}

// envValue is the value of a variable; it is not ok when it is optional and missing.
func (in *inputs) envValue(ctx context.Context, e corev1.EnvVar, env map[string]string) (value string, ok bool, err error) {
	from := e.ValueFrom
	switch {
	case from == nil:
		return expand(e.Value, env), true, nil
	case from.FieldRef != nil:
		value, err = in.field(from.FieldRef.FieldPath)
		return value, true, err
	case from.SecretKeyRef != nil:
		return in.keyed(ctx, secretKind, from.SecretKeyRef.Name, from.SecretKeyRef.Key, from.SecretKeyRef.Optional)
	}
	return in.keyed(ctx, configMapKind, from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Key, from.ConfigMapKeyRef.Optional)
}

func (in *inputs) keyed(ctx context.Context, kind, name, key string, optional *bool) (value string, ok bool, err error) {
	data, err := in.data(ctx, kind, name, optional)
	if err != nil {
		return "", false, err
	}
	bytes, ok := data[key]
	if !ok && (optional == nil || !*optional) {
		return "", false, fmt.Errorf("couldn't find key %s in %s %s/%s", key, kind, in.pod.Namespace, name)
	}
	return string(bytes), ok, nil
}

func list(env map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		out = append(out, name+"="+env[name])
	}
	return out
}
