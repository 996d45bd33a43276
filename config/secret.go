package config

import (
	"fmt"
	"log/slog"
)

const redacted = "redacted"

// Secret is a text that does not print: every verb of fmt, slog and every
// encoder shows "redacted" instead. The zero value is an unset secret. The text
// stands behind a pointer because fmt reads a field that is not exported
// without asking its methods.
type Secret struct{ text *string }

// NewSecret returns a Secret that holds text; an empty text is the zero value.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: &text}
}

// Reveal returns the text itself, to be handed to what needs it and to nothing
// else; it is empty for the zero value.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsSet reports whether s holds a text.
func (s Secret) IsSet() bool { return s.text != nil }

// Equal reports whether s and other hold the same text.
func (s Secret) Equal(other Secret) bool { return s.Reveal() == other.Reveal() }

// String returns "redacted".
func (Secret) String() string { return redacted }

// GoString returns a Go expression without the text.
func (Secret) GoString() string { return `config.Secret("` + redacted + `")` }

// Format writes "redacted" whatever the verb, as fmt prints the value itself
// when a verb does not suit it.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'v' && f.Flag('#') {
		text = s.GoString()
	}
	// A writer that fails is the caller's to notice; Format has no error.
	_, _ = f.Write([]byte(text))
}

// LogValue returns "redacted".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "redacted".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "redacted" as a JSON string.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
