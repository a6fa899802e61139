package inputs_test

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/internal/inputs"
)

func TestParts_AreWhatIsInsideOfDocuments(t *testing.T) {
	for name, tc := range map[string]struct {
		reason, value string
		want          []string
	}{
		"key of an account": {"who and where stays readable", `{"type": "service_account", "project_id": "shop-prod-4711", "private_key_id": "0a1b2c3d4e5f",
			"private_key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----\n", "client_email": "tf@shop-prod-4711.iam"}`,
			[]string{"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----\n", "0a1b2c3d4e5f"}},
		"kubeconfig": {"a name says where, a token does not", "apiVersion: v1\nkind: Config\nclusters:\n- name: production\n  cluster:\n    server: https://prod.example.com\n" +
			"users:\n- name: deployer\n  user:\n    token: abc.def.ghi\ncurrent-context: production\n", []string{"abc.def.ghi"}},
		"database":   {"only the password is one", `{"username":"postgres","password":"correcthorse","engine":"postgres","host":"db.example.com","port":5432}`, []string{"correcthorse"}},
		"list":       {"a document need not be an object", `["first-token", {"a": ["other-token"]}]`, []string{"first-token", "other-token"}},
		"under name": {"what is below a name may be anything", `{"user":{"password":"correcthorse"}}`, []string{"correcthorse"}},
		"tabs":       {"JSON with tabs is no YAML", "{\n\t\"password\": \"correcthorse\"\n}", []string{"correcthorse"}},
		"short":      {"seven bytes are in every text", `{"a":"1234567","b":"12345678"}`, []string{"12345678"}},
		"no texts":   {"numbers and truth values are in every text", `{"a":123456789,"b":true,"c":null}`, nil},
		"text":       {"it is known as a whole", "correct-horse-battery", nil},
		"JSON text":  {"it is known as a whole", `"correct-horse-battery"`, nil},
		"PEM":        {"its lines are known", "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----\n", nil},
		"broken":     {"what is no document has no parts", `{"password": "correcthorse"`, nil},
		"empty":      {"nothing", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(inputs.Parts([]string{tc.value})).To(Equal(tc.want), tc.reason)
		})
	}
}

func TestParts_AreBoundedForEachDocument(t *testing.T) {
	g := NewWithT(t)
	var items []string
	for i := range 2000 {
		items = append(items, fmt.Sprintf("%q", fmt.Sprintf("token-%04d", i)))
	}
	parts := inputs.Parts([]string{"[" + strings.Join(items, ",") + "]", `{"password":"correcthorse"}`})
	g.Expect(parts).To(HaveLen(1001))
	g.Expect(parts).To(ContainElements("token-0000", "token-0999", "correcthorse"))
}

func TestParts_OfADocumentThatGrowsAreNone(t *testing.T) {
	bomb := "a: &a [xxxxxxxx, xxxxxxxx, xxxxxxxx, xxxxxxxx, xxxxxxxx, xxxxxxxx, xxxxxxxx, xxxxxxxx, xxxxxxxx]\n"
	for i := 'b'; i < 'k'; i++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", i, i, strings.TrimSuffix(strings.Repeat("*"+string(i-1)+", ", 9), ", "))
	}
	long := fmt.Sprintf("a: &a %q\nb: [%s]\n", strings.Repeat("x", 1<<19), strings.Repeat("*a, ", 100_000))
	NewWithT(t).Expect(inputs.Parts([]string{bomb, long})).To(BeEmpty())
}
