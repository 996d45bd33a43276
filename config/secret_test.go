package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/prmsync/prmsync/config"
)

// TestSecretDoesNotPrint tries every way by which a program prints.
func TestSecretDoesNotPrint(t *testing.T) {
	t.Parallel()
	secret := config.NewSecret("canary")
	hidden := struct{ token config.Secret }{secret} // fmt asks no method of an unexported field
	var out bytes.Buffer
	for _, verb := range "vsqxXdtbcoOUeEfFgGpTw" {
		for _, flag := range []string{"", "+", "#", "0", "-", " "} {
			format := "%" + flag + string(verb) + "\n"
			fmt.Fprintf(&out, format, secret)
			fmt.Fprintf(&out, format, &secret)
			fmt.Fprintf(&out, format, hidden)
			fmt.Fprintf(&out, format, []config.Secret{secret})
			fmt.Fprintf(&out, format, map[string]config.Secret{"k": secret})
		}
	}
	fmt.Fprintln(&out, secret, &secret, hidden, errors.Join(fmt.Errorf("%v %#v", secret, hidden)))
	for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))} {
		log.Info("m", "secret", secret, "pointer", &secret, "hidden", hidden, "list", []config.Secret{secret})
	}
	for _, v := range []any{secret, &secret, hidden, map[string]config.Secret{"k": secret}, map[config.Secret]int{secret: 1}, config.Config{PRM: config.PRM{APISecret: secret}}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	for _, form := range []string{"canary", fmt.Sprintf("%x", "canary"), fmt.Sprintf("%X", "canary")} {
		if i := strings.Index(out.String(), form); i >= 0 {
			t.Errorf("the secret shows: …%s…", out.String()[max(0, i-60):i+20])
		}
	}
	if !strings.Contains(out.String(), "redacted") {
		t.Error("nothing was printed at all")
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	if s := config.NewSecret("a"); !s.IsSet() || s.Reveal() != "a" || !s.Equal(config.NewSecret("a")) || s.Equal(config.NewSecret("b")) {
		t.Errorf("NewSecret(a) does not hold a")
	}
	if s := config.NewSecret(""); s.IsSet() || s.Reveal() != "" || !s.Equal(config.Secret{}) {
		t.Errorf("NewSecret of nothing is not the zero value")
	}
}
