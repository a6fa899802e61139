package apiserver

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/util/keyutil"
)

// signingKey is what the server signs tokens of accounts with, in the folder of its certificates.
const signingKey = "sa-signer.key"

// ShiftToken gives a token of the server as it would be had it been made that much later (or earlier), signed by the server's
// own key.
func (s *Server) ShiftToken(t testing.TB, token string, by time.Duration) string {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatal("not a token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(err)
	var claims map[string]any
	must(json.Unmarshal(payload, &claims))
	for _, name := range []string{"iat", "nbf", "exp"} {
		if at, ok := claims[name].(float64); ok {
			claims[name] = int64(at) + int64(by.Seconds())
		}
	}
	payload, err = json.Marshal(claims)
	must(err)
	signed := parts[0] + "." + base64.RawURLEncoding.EncodeToString(payload)
	key, err := s.signer()
	must(err)
	sum := sha256.Sum256([]byte(signed))
	r, v, err := ecdsa.Sign(rand.Reader, key, sum[:])
	must(err)
	signature := append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func (s *Server) signer() (*ecdsa.PrivateKey, error) {
	pem, err := os.ReadFile(filepath.Join(s.env.ControlPlane.APIServer.CertDir, signingKey))
	if err != nil {
		return nil, err
	}
	key, err := keyutil.ParsePrivateKeyPEM(pem)
	if err != nil {
		return nil, err
	}
	return key.(*ecdsa.PrivateKey), nil
}
