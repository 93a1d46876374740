//! Registries, through the command: credentials where Docker and Podman keep them, and mirrors.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{Place, image};
use hullmark_testkit::{Answer, RegistryBuilder, Server, registry};

/// Runs `hullmark sbom` on the image of a registry that wants a password; whether it got it.
fn gets_in(prepare: impl Fn(&Place, &str), variables: &[(&str, &str)], arguments: &[&str]) -> bool {
    let place = Place::bare();
    let server = registry(&image(), Some(("user", "pass")), true);
    prepare(&place, &server.host());
    let target = format!("{}/team/app:1.0", server.host());
    let mut command = place.command();
    command.args(["sbom", &target, "--no-cache"]).args(arguments);
    for (name, value) in variables {
        command.env(name, value.replace("HOME", &place.directory.path().display().to_string()));
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || said.contains("hint: log in"), "{said}");
    output.status.success()
}

fn auth(host: &str, pair: &str) -> String {
    format!("{{\"auths\": {{\"{host}\": {{\"auth\": \"{pair}\"}}}}}}")
}

const GOOD: &str = "dXNlcjpwYXNz";
const BAD: &str = "dXNlcjpiYWQ=";

#[test]
fn credentials_are_found_where_docker_and_podman_keep_them() {
    let put = |file: &'static str, pair: &'static str| {
        move |place: &Place, host: &str| {
            place.put(file, auth(host, pair));
        }
    };
    assert!(!gets_in(|_, _| {}, &[], &[]));
    assert!(gets_in(put(".docker/config.json", GOOD), &[], &[]));
    assert!(gets_in(put("other/config.json", GOOD), &[("DOCKER_CONFIG", "HOME/other")], &[]));
    assert!(gets_in(put(".config/containers/auth.json", GOOD), &[], &[]));
    assert!(gets_in(put("run/containers/auth.json", GOOD), &[("XDG_RUNTIME_DIR", "HOME/run")], &[]));
    assert!(gets_in(put("a.json", GOOD), &[("REGISTRY_AUTH_FILE", "HOME/a.json")], &[]));
    assert!(gets_in(put("a.json", GOOD), &[], &["--auth-file", "a.json"]));
    // What Podman keeps goes before what Docker keeps, and a file that is named before both.
    let both = |place: &Place, host: &str| {
        place.put(".config/containers/auth.json", auth(host, BAD));
        place.put(".docker/config.json", auth(host, GOOD));
        place.put("a.json", auth(host, GOOD));
    };
    assert!(!gets_in(both, &[], &[]));
    assert!(gets_in(both, &[], &["--auth-file", "a.json"]));
}

#[test]
fn a_credential_program_is_run_from_the_path() {
    let helper = |place: &Place, _: &str| {
        place.put(".docker/config.json", "{\"credsStore\": \"test\"}");
        let program = place.put("bin/docker-credential-test", "");
        hullmark_testkit::script(
            std::path::Path::new(&program),
            "#!/bin/sh\nread -r host\nprintf '{\"ServerURL\":\"%s\",\"Username\":\"user\",\"Secret\":\"pass\"}' \"$host\"\n",
        );
    };
    assert!(gets_in(helper, &[("PATH", "HOME/bin:/usr/bin:/bin")], &[]));
}

#[test]
fn mirrors_certificates_and_keys_come_from_options() {
    let place = Place::bare();
    let mirror = RegistryBuilder::new().image("team/app", "1.0", &image()).serve(|_| None);
    let registry = Server::new(|_| Answer::new(503, ""));
    let target = format!("{}/team/app:1.0", registry.host());
    let option = format!("{}={}", registry.host(), mirror.url());
    place.ok(&["sbom", &target, "--no-cache", "--registry-mirror", &option]);
    assert!(registry.asked().is_empty());
    place.run(&["sbom", &target, "--registry-mirror", "docker.io"]).check(2, "`docker.io` is not a mirror");
    place.run(&["sbom", &target, "--registry-cert", "a.pem"]).check(2, "--registry-key <FILE>");
    place.run(&["sbom", &target, "--registry-ca", "missing.pem"]).check(2, "missing.pem");
    place.put("certs/r.example/client.key", "key");
    place
        .run(&["sbom", "r.example/a:1", "--registry-certs", &place.text("certs")])
        .check(2, "client.cert` beside it");
}
