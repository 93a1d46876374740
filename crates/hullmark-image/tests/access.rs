//! Getting into registries and staying connected: blobs that break off, mirrors, credential helpers, and docker-registry
//! with TLS, client certificates and passwords.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hullmark_image::{AcquireOptions, ClientCertificate, Target};
use hullmark_testkit::{Answer, Asked, ImageBuilder, Server, TarBuilder, registry};
use hullmark_types::Digest;

mod common;
use common::*;

/// A layer that takes several reads.
fn content() -> Vec<u8> {
    (0..400_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn large() -> ImageBuilder {
    ImageBuilder::new().layer(TarBuilder::new().file("large", content()).finish(), "COPY large")
}

/// A registry of [`large`] that answers the `n`th question for its layer as `answer` says, given the layer.
fn breaking(answer: impl Fn(usize, &Asked, &[u8]) -> Answer + Send + Sync + 'static) -> Server {
    let image = large();
    let (manifest, config, layer) = (image.manifest(), image.config(), image.blobs().remove(0));
    let (config_name, count) = (Digest::sha256(&config).to_string(), AtomicUsize::new(0));
    Server::new(move |asked| match asked.path.as_str() {
        path if path.contains("/manifests/") => Answer::new(200, manifest.clone()),
        path if path.ends_with(&config_name) => Answer::new(200, config.clone()),
        _ => answer(count.fetch_add(1, Ordering::Relaxed), asked, &layer),
    })
}

/// The bytes that are asked for.
fn ranged(asked: &Asked, layer: &[u8]) -> Answer {
    let Some(range) = asked.headers.get("range") else { return Answer::new(200, layer) };
    let first: usize = range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap();
    let range = format!("bytes {first}-{}/{}", layer.len() - 1, layer.len());
    Answer::new(206, &layer[first..]).header("Content-Range", &range)
}

fn cut(answer: Answer, at: usize) -> Answer {
    Answer { cut: Some(at), ..answer }
}

/// The ranges that were asked for.
fn ranges(server: &Server) -> Vec<String> {
    server.asked().iter().filter_map(|asked| asked.headers.get("range").cloned()).collect()
}

fn pull(server: &Server, options: &AcquireOptions) {
    let target = Target::parse(&format!("{}/team/app:1.0", server.host())).unwrap();
    let (_, files) = read(&target, options).unwrap();
    assert_eq!(files.codes, Vec::<String>::new());
    assert_eq!(files.layers[&0].len(), 1);
}

#[test]
fn a_blob_that_breaks_off_is_read_on_from_there() {
    let server = breaking(|number, asked, layer| match number {
        0 => cut(ranged(asked, layer), 100_000),
        1 => Answer::new(503, "busy"),
        2 => cut(ranged(asked, layer), 7),
        _ => ranged(asked, layer),
    });
    pull(&server, &options());
    let ranges = ranges(&server);
    assert_eq!(ranges[0], "bytes=100000-");
    assert_eq!(ranges.last().unwrap(), "bytes=100007-");
}

#[test]
fn a_registry_without_ranges_sends_the_beginning_again() {
    let server = breaking(|number, _, layer| match number {
        0 => cut(Answer::new(200, layer), 100_000),
        _ => Answer::new(200, layer),
    });
    pull(&server, &options());
    assert_eq!(ranges(&server), ["bytes=100000-"]);
}

#[test]
fn a_registry_that_stalls_is_asked_for_the_rest() {
    let server = breaking(|number, asked, layer| match number {
        0 => Answer { stall: Duration::from_secs(60), ..cut(ranged(asked, layer), 50_000) },
        _ => ranged(asked, layer),
    });
    let mut options = options();
    options.client.read_timeout = Duration::from_millis(300);
    let begun = Instant::now();
    pull(&server, &options);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(ranges(&server), ["bytes=50000-"]);
}

#[test]
fn what_is_sent_after_a_break_is_not_believed() {
    type Lie = fn(&Asked, &[u8]) -> Answer;
    let lies: [(Lie, &str); 5] = [
        (|asked, layer| ranged(asked, &vec![0; layer.len()]), "is damaged or was changed"),
        (
            |_, layer| Answer::new(206, layer).header("Content-Range", &format!("bytes 0-9/{}", layer.len())),
            "sends other bytes than those from 1000 on",
        ),
        (|_, layer| Answer::new(206, layer), "sends other bytes than those from 1000 on"),
        (|_, layer| Answer::new(200, &layer[1..]), "states another size than before"),
        (|_, _| Answer::new(404, ""), "broke off and cannot be read on"),
    ];
    for (lie, expected) in lies {
        let server = breaking(move |number, asked, layer| match number {
            0 => cut(ranged(asked, layer), 1000),
            _ => lie(asked, layer),
        });
        fails(&format!("{}/team/app:1.0", server.host()), &options(), expected);
    }
}

#[test]
fn a_blob_that_does_not_get_on_is_given_up() {
    let server = breaking(|_, asked, layer| cut(ranged(asked, layer), 10));
    fails(&format!("{}/team/app:1.0", server.host()), &options(), "cannot be read to its end");
    assert_eq!(ranges(&server).len(), 5);
}

#[test]
fn mirrors_are_asked_first_and_the_registry_for_the_rest() {
    let real = registry(&builder(), None, false);
    let inner = registry(&builder(), None, false);
    let (mirrored, missing) = (inner.url(), Digest::sha256(&builder().blobs()[1]).to_string());
    let mirror = Server::new(move |asked| match asked.path.strip_prefix("/v2/hub/") {
        Some(path) if !path.contains(&missing) => {
            let path = path.split('?').next().unwrap();
            Answer::new(307, "").header("Location", &format!("{mirrored}/v2/{path}"))
        }
        _ => Answer::new(404, ""),
    });
    let mut options = options();
    options.access.mirrors = vec![
        // Nobody is there.
        format!("{}=http://127.0.0.1:1", real.host()).parse().unwrap(),
        format!("{}={}/hub", real.host(), mirror.url()).parse().unwrap(),
        format!("other.example={}/other", mirror.url()).parse().unwrap(),
    ];
    check(&format!("{}/team/app:1.0", real.host()), &options);
    let first = &mirror.asked()[0].path;
    assert_eq!(first, &format!("/v2/hub/team/app/manifests/1.0?ns={}", real.host()));
    let asked: Vec<_> = real.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(asked, [format!("/v2/team/app/blobs/{}", Digest::sha256(&builder().blobs()[1]))]);
}

#[test]
fn a_mirror_gets_no_credentials_of_the_registry_and_no_damage_past_us() {
    let real = registry(&builder(), Some(("user", "pass")), false);
    let mirror = Server::new(|asked| match asked.path.contains("/blobs/") {
        true => Answer::new(200, "damaged"),
        false => Answer::new(401, "").header("WWW-Authenticate", "Basic realm=\"x\""),
    });
    let directory = tempfile::tempdir().unwrap();
    let auth = format!("{{\"auths\": {{\"{}\": {{\"auth\": \"dXNlcjpwYXNz\"}}}}}}", real.host());
    let mut options = options();
    options.access.credentials.files = vec![put(directory.path(), "config.json", auth.as_bytes()).into()];
    options.access.mirrors = vec![format!("{}={}", real.host(), mirror.url()).parse().unwrap()];
    fails(&format!("{}/team/app:1.0", real.host()), &options, "is damaged or was changed");
    assert!(mirror.asked().iter().all(|asked| !asked.headers.contains_key("authorization")));
}

#[test]
fn a_program_gives_the_credentials() {
    let server = registry(&builder(), Some(("user", "pass")), true);
    let directory = tempfile::tempdir().unwrap();
    let helper = put(
        directory.path(),
        "docker-credential-test",
        b"#!/bin/sh\ncat > /dev/null\necho '{\"Username\":\"user\",\"Secret\":\"pass\"}'\n",
    );
    std::fs::set_permissions(helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut options = options();
    options.access.credentials.search_path = Some(directory.path().as_os_str().to_owned());
    let target = format!("{}/team/app:1.0", server.host());
    for config in [
        format!("{{\"credHelpers\": {{\"{}\": \"test\"}}}}", server.host()),
        "{\"credsStore\": \"test\"}".to_owned(),
    ] {
        options.access.credentials.files =
            vec![put(directory.path(), "config.json", config.as_bytes()).into()];
        check(&target, &options);
    }
    let config = put(directory.path(), "config.json", b"{\"credsStore\": \"absent\"}");
    options.access.credentials.files = vec![config.into()];
    fails(
        &target,
        &options,
        "`docker-credential-absent` gives no credentials: there is no such program in PATH",
    );
}

/// A process that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Writes a certificate authority, a certificate of `localhost` and one of a client.
fn certificates(directory: &Path) {
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    put(directory, "ca.crt", authority.self_signed(&key).unwrap().pem().as_bytes());
    let issuer = Issuer::new(authority, key);
    for (name, host, usage) in [
        ("server", "localhost", ExtendedKeyUsagePurpose::ServerAuth),
        ("client", "client", ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let key = KeyPair::generate().unwrap();
        let mut leaf = CertificateParams::new(vec![host.to_owned()]).unwrap();
        leaf.extended_key_usages = vec![usage];
        put(directory, &format!("{name}.cert"), leaf.signed_by(&key, &issuer).unwrap().pem().as_bytes());
        put(directory, &format!("{name}.key"), key.serialize_pem().as_bytes());
    }
}

/// docker-registry with TLS, client certificates and the password `pass` of `user`; its name.
fn docker_registry(directory: &Path) -> Option<(Ended, String)> {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // The password is `pass`, with the lowest cost of bcrypt that the registry takes.
    let users = "user:$2y$05$abcdefghijklmnopqrstuuZFBUbfXoM8LFiPx8LYlO/sXZB/Cwk3K\n";
    let users = put(directory, "htpasswd", users.as_bytes());
    let at = directory.display();
    let config = format!(
        "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {at}/registry\n\
         auth:\n  htpasswd:\n    realm: test\n    path: {users}\n\
         http:\n  addr: 127.0.0.1:{port}\n  tls:\n    certificate: {at}/server.cert\n    key: {at}/server.key\n    \
         clientcas:\n      - {at}/ca.crt\n"
    );
    let config = put(directory, "registry.yml", config.as_bytes());
    let child = Command::new("docker-registry")
        .args(["serve", &config])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .ok()?;
    let child = Ended(child);
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "docker-registry does not come up");
        std::thread::sleep(Duration::from_millis(50));
    }
    Some((child, format!("localhost:{port}")))
}

#[test]
fn docker_registry_with_tls_client_certificates_and_passwords() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    certificates(directory.path());
    let Some((_registry, name)) = docker_registry(directory.path()) else {
        return eprintln!("skipped: docker-registry is not installed");
    };
    let by_host = at("certs.d").join(&name);
    std::fs::create_dir_all(&by_host).unwrap();
    for file in ["ca.crt", "client.cert", "client.key"] {
        std::fs::copy(at(file), by_host.join(file)).unwrap();
    }
    let image = builder();
    image.oci_layout(&at("layout"));
    let copy = Command::new("skopeo")
        .args(["--insecure-policy", "copy", "--quiet", "--dest-creds=user:pass", "--dest-cert-dir"])
        .arg(&by_host)
        .arg(format!("oci:{}", at("layout").display()))
        .arg(format!("docker://{name}/team/app:1.0"))
        .output();
    match copy {
        Err(error) => return eprintln!("skipped: skopeo cannot be run: {error}"),
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
    }
    let target = format!("{name}/team/app:1.0");
    let auth = format!("{{\"auths\": {{\"{name}\": {{\"auth\": \"dXNlcjpwYXNz\"}}}}}}");
    let auth = put(directory.path(), "config.json", auth.as_bytes());

    let mut good = options();
    good.access.credentials.files = vec![auth.into()];
    good.access.certificates = vec![at("absent"), at("certs.d")];
    let image = check(&target, &good);
    check(&format!("{name}/team/app@{}", image.subject().manifest.clone().unwrap()), &good);

    // The same, named one by one.
    let mut named = good.clone();
    named.access.certificates = Vec::new();
    named.client.ca_files = vec![at("ca.crt")];
    named.access.client_certificate =
        Some(ClientCertificate { certificate: at("client.cert"), key: at("client.key") });
    check(&target, &named);

    let without = |change: fn(&mut AcquireOptions)| {
        let mut options = named.clone();
        change(&mut options);
        options
    };
    fails(
        &target,
        &without(|options| options.access.credentials.files.clear()),
        "a user name and a password",
    );
    fails(&target, &without(|options| options.access.client_certificate = None), "cannot reach `localhost`");
    fails(&target, &without(|options| options.client.ca_files.clear()), "cannot reach `localhost`");
}

#[test]
fn a_client_certificate_that_cannot_be_used_is_said_without_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| directory.path().join(put(directory.path(), name, text.as_bytes()));
    let (certificate, key) = (put("client.cert", "no certificate"), put("client.key", "s3cr3t"));
    let mut options = options();
    options.access.client_certificate = Some(ClientCertificate { certificate, key });
    fails(
        "registry.example/team/app:1.0",
        &options,
        "client.cert` cannot be used: expected a certificate there",
    );
}

#[test]
fn ten_layers_at_a_time_ask_for_one_token() {
    let mut image = ImageBuilder::new();
    for number in 0..10 {
        image = image.layer(TarBuilder::new().file(&format!("file{number}"), "x").finish(), "COPY");
    }
    let server = registry(&image, None, true);
    let mut options = options();
    options.threads = 10;
    let target = Target::parse(&format!("{}/team/app:1.0", server.host())).unwrap();
    let (_, files) = read(&target, &options).unwrap();
    assert_eq!(files.layers.len(), 10);
    let tokens = server.asked().iter().filter(|asked| asked.path.starts_with("/token")).count();
    assert_eq!(tokens, 1);
}
