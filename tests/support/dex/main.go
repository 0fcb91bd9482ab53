// Dex's own server, with everything in memory: one person, one client that signs people in on another device, and one
// that is a machine. Without Dex's command, whose administrative interface needs a module that is not published.
package main

import (
	"context"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/dexidp/dex/server"
	"github.com/dexidp/dex/server/connectors"
	"github.com/dexidp/dex/server/signer"
	"github.com/dexidp/dex/server/tokens"
	"github.com/dexidp/dex/storage"
	"github.com/dexidp/dex/storage/memory"
	"github.com/dexidp/dex/web"
	"golang.org/x/crypto/bcrypt"
)

const lifetime = 10 * time.Minute

func main() {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	served, err := dex(context.Background(), logger, os.Getenv("ISS"), os.Getenv("ROTATE"))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(os.Getenv("LISTEN"), served))
}

func dex(ctx context.Context, logger *slog.Logger, issuer, rotate string) (*server.Server, error) {
	everything, err := contents(logger)
	if err != nil {
		return nil, err
	}
	signing := signer.LocalConfig{KeysRotationPeriod: rotate}
	signs, err := signing.Open(ctx, everything, lifetime, time.Now, logger)
	if err != nil {
		return nil, err
	}
	refresh, err := tokens.NewRefreshTokenPolicy(logger, false, "", "", "")
	if err != nil {
		return nil, err
	}
	return server.NewServer(ctx, server.Config{
		Issuer:             issuer,
		Storage:            everything,
		SkipApprovalScreen: true,
		AllowedGrantTypes: []string{
			"authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code",
		},
		RefreshTokenPolicy: refresh,
		IDTokensValidFor:   lifetime,
		Signer:             signs,
		Logger:             logger,
		Web:                server.WebConfig{WebFS: web.FS()},
	})
}

func contents(logger *slog.Logger) (storage.Storage, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte("password"), bcrypt.MinCost+6)
	if err != nil {
		return nil, err
	}
	all := storage.WithStaticClients(memory.New(logger), []storage.Client{
		{ID: "cli", Name: "seawall", Public: true, RedirectURIs: []string{"/device/callback"}},
		{ID: "ci-bot", Name: "a machine", Secret: "ci-secret"},
	})
	all = storage.WithStaticPasswords(all, []storage.Password{
		{Email: "jane@example.com", Username: "jane", UserID: "7f2c9b1e", Hash: hash, Groups: []string{"developers"}},
	}, logger)
	local := storage.Connector{ID: connectors.LocalConnector, Name: "Email", Type: connectors.LocalConnector}
	return storage.WithStaticConnectors(all, []storage.Connector{local}), nil
}
