package inputs

import (
	"maps"
	"regexp"
	"slices"

	"sigs.k8s.io/yaml"
)

const (
	// minPart is the shortest part of a document that is taken for a secret, in bytes.
	minPart = 8
	// maxParts bounds how many there are of one document: each is looked for in many forms.
	maxParts = 1000
)

// told are the fields of well-known documents (keys of accounts, kubeconfigs, credentials of databases) that say who and where. Plans are
// full of their values, and to hide them would hide the plan.
var told = []string{
	"type", "project_id", "client_email", "client_id", "universe_domain",
	"auth_uri", "token_uri", "auth_provider_x509_cert_url", "client_x509_cert_url",
	"clientId", "subscriptionId", "tenantId", "activeDirectoryEndpointUrl", "resourceManagerEndpointUrl", "activeDirectoryGraphResourceId",
	"sqlManagementEndpointUrl", "galleryEndpointUrl", "managementEndpointUrl",
	"apiVersion", "kind", "name", "namespace", "server", "cluster", "user", "current-context",
	"username", "host", "engine", "dbname", "dbInstanceIdentifier", "region",
}

// Parts are the texts inside of values from Secrets that are objects or lists in JSON or YAML: a module may take a document apart. Left out
// are short ones, those of fields that say who and where, and in one document all after the first thousand.
func Parts(values []string) []string {
	var found []string
	for _, value := range values {
		parts := appendParts(nil, decodeDocument(value))
		found = append(found, parts[:min(len(parts), maxParts)]...)
	}
	return found
}

// alias is where YAML refers to another part of the document. Such a document grows when it is decoded, and without bounds.
var alias = regexp.MustCompile(`(?:^|[\s\[{,:-])\*\S`)

// decodeDocument is nil for what is no document. JSON is tried first: indented by tabs, it is no YAML.
func decodeDocument(text string) any {
	if document, err := decodeExact([]byte(text)); err == nil {
		return document
	}
	var document any
	if alias.MatchString(text) {
		return nil
	}
	if yaml.Unmarshal([]byte(text), &document) != nil {
		return nil
	}
	return document
}

// appendParts goes through lists and objects; a document that is one text is none.
func appendParts(found []string, node any) []string {
	switch n := node.(type) {
	case []any:
		for _, item := range n {
			found = appendPart(found, item)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(n)) {
			if _, text := n[key].(string); !text || !slices.Contains(told, key) {
				found = appendPart(found, n[key])
			}
		}
	}
	return found
}

func appendPart(found []string, node any) []string {
	text, ok := node.(string)
	switch {
	case !ok:
		return appendParts(found, node)
	case len(text) < minPart:
		return found
	}
	return append(found, text)
}
