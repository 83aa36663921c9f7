package iothub

import "strings"

// WithoutSignature returns a shared access signature with the signature itself left out, and anything else that is meant
// to be secret as a remark on its length. It is for logs and for people who look at connections.
func WithoutSignature(token string) string {
	if !strings.HasPrefix(token, "SharedAccessSignature ") {
		return "(" + strings.Repeat("•", min(len(token), 8)) + ")"
	}
	parts := strings.Split(token, "&")
	for i, part := range parts {
		if name, _, _ := strings.Cut(strings.TrimPrefix(part, "SharedAccessSignature "), "="); name == "sig" {
			parts[i] = strings.TrimSuffix(part, strings.TrimPrefix(part, "SharedAccessSignature ")) + "sig=…"
		}
	}
	return strings.Join(parts, "&")
}
