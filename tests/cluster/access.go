package cluster

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Kubeconfig is the path of an administrator's kubeconfig file.
func (c *Cluster) Kubeconfig() string { return c.path("kubeconfig") }

// ServiceAccountKubeconfig writes a kubeconfig file with a token of an existing ServiceAccount, good for a day, and
// returns its path: a process with it has the rights of that account and no other.
func (c *Cluster) ServiceAccountKubeconfig(ctx context.Context, namespace, name string) (path string, err error) {
	day := int64(24 * 60 * 60)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	token := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &day}}
	if err := c.Client.SubResource("token").Create(ctx, account, token); err != nil {
		return "", fmt.Errorf("fetching a token of service account %s/%s: %w", namespace, name, err)
	}
	config := rest.CopyConfig(c.Config)
	config.BearerToken = token.Status.Token
	if c.Proxy != nil {
		config.Host = c.Proxy.URL
	}
	path = c.path("kubeconfigs", namespace+"_"+name)
	return path, writeKubeconfig(path, config)
}

func writeKubeconfig(path string, config *rest.Config) error {
	const name = "local"
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {Token: config.BearerToken}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}, path)
	if err != nil {
		return fmt.Errorf("writing kubeconfig %s: %w", path, err)
	}
	return nil
}

// Namespace makes a namespace with a name of its own that begins with prefix, and waits until pods can be made in it.
func (c *Cluster) Namespace(ctx context.Context, prefix string) (name string, err error) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix + "-"}}
	if err := c.Client.Create(ctx, namespace); err != nil {
		return "", fmt.Errorf("making a namespace: %w", err)
	}
	return namespace.Name, c.awaitNamespace(ctx, namespace.Name)
}
