package api_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/yaml"

	"github.com/terraform-controller/terraform-controller/tests/compat"
)

// TestTerraform_RefusalsNameTheFieldAndWhatThereIs: everything that the API server refuses in a spec, with its words.
func TestTerraform_RefusalsNameTheFieldAndWhatThereIs(t *testing.T) {
	compat.Shows(t, "api.refusals")
	const duration = `type conversion error from 'string' to 'google.protobuf.Duration' evaluating rule: must be a duration like 30s, 10m or 1h30m`
	const account = `must be the name of a ServiceAccount, like tf-runner`
	long := strings.Repeat("a", 254)
	for _, tc := range []struct{ spec, message string }{
		// Words.
		{`{sourceRef: {kind: HelmChart, name: a}}`, `spec.sourceRef.kind: Unsupported value: "HelmChart": supported values: "GitRepository", "Bucket", "OCIRepository", "ExternalArtifact"`},
		{`{retryStrategy: Exponential}`, `spec.retryStrategy: Unsupported value: "Exponential": supported values: "StaticInterval", "ExponentialBackoff"`},
		{`{storeReadablePlan: text}`, `spec.storeReadablePlan: Unsupported value: "text": supported values: "none", "json", "human"`},
		{`{tfstate: {forceUnlock: "true"}}`, `spec.tfstate.forceUnlock: Unsupported value: "true": supported values: "yes", "no", "auto"`},
		{`{backendConfigsFrom: [{kind: secret, name: a}]}`, `spec.backendConfigsFrom[0].kind: Unsupported value: "secret": supported values: "Secret", "ConfigMap"`},
		{`{varsFrom: [{kind: Configmap, name: a}]}`, `spec.varsFrom[0].kind: Unsupported value: "Configmap": supported values: "Secret", "ConfigMap"`},
		{`{fileMappings: [{secretRef: {name: a}, location: root, path: a}]}`, `spec.fileMappings[0].location: Unsupported value: "root": supported values: "home", "workspace"`},
		{`{healthChecks: [{name: a, type: https}]}`, `spec.healthChecks[0].type: Unsupported value: "https": supported values: "tcp", "http"`},
		{`{webhooks: [{stage: pre-planning, url: a, testExpression: a}]}`, `spec.webhooks[0].stage: Unsupported value: "pre-planning": supported values: "post-planning"`},
		// Times.
		{`{interval: soon}`, `spec.interval: Invalid value: "string": ` + duration},
		{`{interval: ""}`, `spec.interval: Invalid value: "string": ` + duration},
		{`{interval: 10 minutes}`, `spec.interval: Invalid value: "string": ` + duration},
		{`{retryInterval: 5 m}`, `spec.retryInterval: Invalid value: "string": ` + duration},
		{`{maxRetryInterval: 1d}`, `spec.maxRetryInterval: Invalid value: "string": ` + duration},
		{`{tfstate: {lockTimeout: never}}`, `spec.tfstate.lockTimeout: Invalid value: "string": ` + duration},
		{`{healthChecks: [{name: a, type: tcp, timeout: "20"}]}`, `spec.healthChecks[0].timeout: Invalid value: "string": ` + duration},
		{`{timeouts: {apply: 6 hours}}`, `spec.timeouts.apply: Invalid value: "string": ` + duration},
		// Types.
		{`{interval: 10}`, `spec.interval: Invalid value: "integer": spec.interval in body must be of type string: "integer"`},
		{`{parallelism: many}`, `spec.parallelism: Invalid value: "string": spec.parallelism in body must be of type integer: "string"`},
		{`{targets: a.b}`, `spec.targets: Invalid value: "string": spec.targets in body must be of type array: "string"`},
		{`{suspend: "yes"}`, `spec.suspend: Invalid value: "string": spec.suspend in body must be of type boolean: "string"`},
		// Names and paths.
		{`{varsFrom: [{kind: Secret, name: ""}]}`, `spec.varsFrom[0].name: Invalid value: "": spec.varsFrom[0].name in body should be at least 1 chars long`},
		{`{varsFrom: [{kind: Secret, name: ` + long + `}]}`, `spec.varsFrom[0].name: Too long: may not be more than 253`},
		{`{backendConfigsFrom: [{kind: Secret, name: ` + long + `}]}`, `spec.backendConfigsFrom[0].name: Too long: may not be more than 253`},
		{`{healthChecks: [{name: ` + long + `, type: tcp}]}`, `spec.healthChecks[0].name: Too long: may not be more than 253`},
		{`{fileMappings: [{secretRef: {name: a}, location: home, path: "größe"}]}`, `spec.fileMappings[0].path: Invalid value: "größe": spec.fileMappings[0].path in body should match '^(.?[/_a-zA-Z0-9]{1,})*$'`},
		{`{serviceAccountName: "a:b"}`, `spec.serviceAccountName: Invalid value: "a:b": ` + account},
		{`{serviceAccountName: "a/b"}`, `spec.serviceAccountName: Invalid value: "a/b": ` + account},
		{`{serviceAccountName: Deployer}`, `spec.serviceAccountName: Invalid value: "Deployer": ` + account},
		{`{serviceAccountName: "a\n"}`, `spec.serviceAccountName: Invalid value: "a\n": ` + account},
		{`{serviceAccountName: ` + long + `}`, `spec.serviceAccountName: Invalid value: "` + long + `": ` + account},
		{`{planServiceAccountName: planner-}`, `spec.planServiceAccountName: Invalid value: "planner-": ` + account},
		// What has to be there.
		{`{sourceRef: {kind: GitRepository}}`, `spec.sourceRef.name: Required value`},
		{`{sourceRef: {name: a}}`, `spec.sourceRef.kind: Required value`},
		{`{sourceRef: null}`, `spec.sourceRef: Required value`},
		{`{interval: null}`, `spec.interval: Required value`},
		{`{vars: [{value: 1}]}`, `spec.vars[0].name: Required value`},
		{`{varsFrom: [{kind: Secret}]}`, `spec.varsFrom[0].name: Required value`},
		{`{dependsOn: [{namespace: a}]}`, `spec.dependsOn[0].name: Required value`},
		{`{readInputsFromSecrets: [{name: a}]}`, `spec.readInputsFromSecrets[0].as: Required value`},
		{`{writeOutputsToSecret: {outputs: [a]}}`, `spec.writeOutputsToSecret.name: Required value`},
		{`{fileMappings: [{location: home, path: a}]}`, `spec.fileMappings[0].secretRef: Required value`},
		{`{cloud: {organization: a}}`, `spec.cloud.workspaces: Required value`},
	} {
		t.Run(tc.spec[:min(len(tc.spec), 60)], func(t *testing.T) {
			g := NewWithT(t)
			spec := map[string]any{"interval": "10m", "sourceRef": map[string]any{"kind": "Bucket", "name": "source"}}
			changes := map[string]any{}
			g.Expect(yaml.Unmarshal([]byte(tc.spec), &changes)).To(Succeed())
			for key, value := range changes {
				if spec[key] = value; value == nil {
					delete(spec, key)
				}
			}
			content, err := yaml.Marshal(spec)
			g.Expect(err).NotTo(HaveOccurred())
			err = create(t, manifest(t, "Terraform", "refused", string(content)))
			g.Expect(err).To(Satisfy(apierrors.IsInvalid))
			g.Expect(err).To(MatchError(ContainSubstring(tc.message)))
		})
	}
}
