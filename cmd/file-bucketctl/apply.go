package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
)

func applyCommand() command {
	return command{
		name:    "apply",
		summary: "check the configuration and bring the running daemons up to it",
		details: `
A configuration with an error is refused before anything is done, and so is a
home or store that is missing or that the daemons' user cannot write to. Each
daemon that runs is reloaded; what has changed beyond what a reload applies
restarts it, and so does a home or store that it cannot write to because it was
not there, or not configured, when the daemon started, and a systemd credential
or a drop-in that is newer than the daemon's start. Another address restarts
its socket too, unless another program has the port: that is an error, and the
door stays where it is. A daemon that is about to start is restarted with its
socket. Requests that run come to their end; but for a socket that is
restarted, no client is refused.

It needs root and systemd.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			path := configFlag(flags)
			return func(ctx context.Context, e env, args []string) error {
				if err := noArgs(args); err != nil {
					return err
				}
				return apply(ctx, e, *path, newSystemd())
			}
		},
	}
}

func apply(ctx context.Context, e env, path string, s systemd) error {
	cfg, warnings, err := daemon.CheckConfig(path)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		if _, err := fmt.Fprintf(e.stderr, "%s: warning: %s\n", name, w); err != nil {
			return err
		}
	}
	if !s.runs() {
		return errors.New("systemd does not run here: restart the daemons in the way that they were started")
	}
	states := make(map[string]unitState)
	var errs []error
	for _, u := range units() {
		state, err := s.state(ctx, u.name)
		errs = append(errs, err)
		states[u.name] = state
		host, port := u.address(cfg)
		// What the generator cannot write would be left as it is, in silence.
		_, _, listenErr := listenStream(host, port)
		switch {
		case !state.socket:
		case listenErr != nil:
			key := u.section + "host"
			if port == 0 {
				key = u.section + "port"
			}
			errs = append(errs, &daemon.ConfigError{Err: cfg.Problem(key, "%s", listenErr)})
		default:
			// From daemon-reload on the socket unit has the old address no more, and without the new one the door would be closed.
			moves, err := s.moves(ctx, u.name, state, port)
			if err == nil && moves && taken(ctx, host, port) {
				err = &daemon.ConfigError{Err: cfg.Problem(u.section+"port", "another program listens on port %d; ss -ltnp tells which", port)}
			}
			errs = append(errs, err)
		}
	}
	if err := errors.Join(append(errs, s.checkDirs(ctx, cfg))...); err != nil {
		return err
	}
	if err := s.call(ctx, "daemon-reload"); err != nil {
		return err
	}
	// One door's trouble does not keep the others from what they should do.
	for _, u := range units() {
		done, err := s.apply(ctx, u, states[u.name], cfg)
		if err != nil && s.closed(ctx, u.name) {
			err = fmt.Errorf("%w\nits socket could not be opened and no client reaches it; when that is mended, run %s apply again", err, name)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", u.name, err))
			continue
		}
		if _, err := fmt.Fprintf(e.stdout, "%s: %s\n", u.name, done); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// apply brings one door up to the configuration, and says what was done.
func (s systemd) apply(ctx context.Context, u unit, st unitState, cfg *config.Config) (string, error) {
	door := u.name
	switch {
	case st == unitState{}:
		return "does not run; systemctl enable --now " + door + ".socket " + door + ".service starts it", nil
	case !st.service && st.socket:
		// Nobody is served, so nobody is cut off; and the socket may be where it should not be, or be given up at daemon-reload.
		return "started", s.call(ctx, "restart", door+".socket", door+".service")
	case !st.service:
		return "started", s.call(ctx, "restart", door+".service")
	}
	outdated, err := s.outdated(ctx, u, cfg)
	if err != nil {
		return "", err
	}
	var o daemon.Outcome
	blind := outdated && s.unhanded(u, cfg) // it would refuse a reload, so nobody knows whether the address has changed too
	if !blind {
		o, err = s.reload(ctx, door)
	}
	switch {
	case err != nil:
		return "", err
	case o.NeedsSocket(), st.socket && (o.Own() || blind):
		return "restarted, with its socket", s.call(ctx, "restart", door+".socket", door+".service")
	case o.NeedsRestart(), outdated:
		return "restarted", s.call(ctx, "restart", door+".service")
	default:
		return "reloaded", nil
	}
}
