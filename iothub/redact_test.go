package iothub

import "testing"

func TestWithoutSignature(t *testing.T) {
	for token, want := range map[string]string{
		"SharedAccessSignature sr=h%2Fdevices%2Fd&sig=c2VjcmV0&se=1700000000": "SharedAccessSignature sr=h%2Fdevices%2Fd&sig=…&se=1700000000",
		"SharedAccessSignature sig=c2VjcmV0&sr=h&se=1&skn=service":            "SharedAccessSignature sig=…&sr=h&se=1&skn=service",
		"a password": "(••••••••)",
		"abc":        "(•••)",
		"":           "()",
	} {
		if got := WithoutSignature(token); got != want {
			t.Errorf("%q: %q, want %q", token, got, want)
		}
	}
}
