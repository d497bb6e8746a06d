//! What the one way out lets through, and what not.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, Url};
use runhold::capability::egress::{Egress, EgressError, Limits, Reach, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::server::{Server, answer, redirect};

async fn get(url: &str, reach: &Reach) -> Result<Response, EgressError> {
    Egress::new().send(Request::get(url.parse().unwrap()), reach, Limits::default()).await
}

fn open(entries: &[String]) -> Reach {
    Reach::new(None, entries).unwrap()
}

async fn class_of(host: &str) -> &'static str {
    match get(&format!("http://{host}/"), &Reach::default()).await {
        Err(EgressError::Barred { class, .. }) => class,
        other => panic!("{host}: {other:?}"),
    }
}

#[tokio::test]
async fn an_address_that_is_not_public_is_refused_in_every_spelling() {
    let cases = [
        ("127.0.0.1", "loopback"),
        ("127.0.0.1.", "loopback"),
        ("2130706433", "loopback"),
        ("0x7f000001", "loopback"),
        ("0177.0.0.1", "loopback"),
        ("127.1", "loopback"),
        ("%31%32%37.0.0.1", "loopback"),
        ("１２７.0.0.1", "loopback"),
        ("[::1]", "loopback"),
        ("[::ffff:127.0.0.1]", "loopback"),
        ("[2002:7f00:1::]", "loopback"),
        ("[64:ff9b::7f00:1]", "loopback"),
        ("0", "unspecified"),
        ("[::]", "unspecified"),
        ("10.0.0.1", "private"),
        ("172.20.0.1", "private"),
        ("192.168.0.1", "private"),
        ("[fd00::1]", "private"),
        ("169.254.169.254", "link-local"),
        ("[fe80::1]", "link-local"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("224.0.0.1", "multicast"),
        ("[ff02::1]", "multicast"),
        ("192.0.2.1", "documentation"),
        ("[2001:db8::1]", "documentation"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
    ];
    for (host, class) in cases {
        assert_eq!(class_of(host).await, class, "{host}");
    }
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_refused_when_it_is_resolved() {
    for host in ["localhost", "LOCALHOST"] {
        assert_eq!(class_of(host).await, "loopback", "{host}");
    }
}

#[tokio::test]
async fn only_http_without_credentials_is_spoken() {
    let reach = Reach::default();
    assert_eq!(get("file:///etc/passwd", &reach).await, Err(EgressError::Scheme));
    assert_eq!(get("ftp://example.org/", &reach).await, Err(EgressError::Scheme));
    assert_eq!(get("http://u:p@example.org/", &reach).await, Err(EgressError::Credentials));
}

#[tokio::test]
async fn what_the_operator_opened_is_reached() {
    let server = Server::start(|_| answer("200 OK", &["content-type: text/plain"], "hello")).await;
    let port = server.port;
    let by_address = server.url("/a?b=c");
    let by_name = format!("http://localhost:{port}/");
    for (url, entry) in [
        (&by_address, "127.0.0.1".to_owned()),
        (&by_address, format!("127.0.0.1:{port}")),
        (&by_address, "127.0.0.0/8".into()),
        (&by_name, "localhost".into()),
        (&by_name, format!("LocalHost:{port}")),
        (&by_name, "127.0.0.1/32".into()),
    ] {
        let expected = Response {
            last_modified: None,
            filename: None,
            url: url.parse().unwrap(),
            status: 200,
            content_type: Some("text/plain".into()),
            body: "hello".into(),
            cut: false,
            late: false,
        };
        assert_eq!(get(url, &open(std::slice::from_ref(&entry))).await, Ok(expected), "{entry}");
    }
    let asked = server.asked();
    assert!(asked[0].starts_with("GET /a?b=c HTTP/1.1\r\n"), "{}", asked[0]);
    assert!(
        asked[0].contains(&format!("user-agent: runhold/{}\r\n", env!("CARGO_PKG_VERSION"))),
        "{}",
        asked[0]
    );
}

#[tokio::test]
async fn what_was_opened_for_one_tool_stays_closed_to_another() {
    let server = Server::start(|_| answer("200 OK", &[], "hello")).await;
    let egress = Egress::new();
    let ask = |reach: Reach| {
        let request = Request::get(format!("http://localhost:{}/", server.port).parse().unwrap());
        let egress = egress.clone();
        async move { egress.send(request, &reach, Limits::default()).await.map(|response| response.status) }
    };
    assert_eq!(ask(open(&["localhost".into()])).await, Ok(200));
    let barred = Err(EgressError::Barred { host: "localhost".into(), class: "loopback" });
    assert_eq!(ask(Reach::default()).await, barred);
    assert_eq!(ask(open(&["localhost:1".into()])).await, barred);
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_tool_confined_to_hosts_reaches_no_other() {
    let private = ["127.0.0.1".to_owned()];
    let confined = |only: &str| Reach::new(Some(&[only.into()]), &private).unwrap();
    let server = Server::start(|_| answer("204 No Content", &[], "")).await;
    let url = server.url("/");
    assert_eq!(get(&url, &confined("127.0.0.1")).await.unwrap().status, 204);
    let not_listed = |host: &str| Err(EgressError::NotListed(host.into()));
    assert_eq!(get(&url, &confined("example.org")).await, not_listed("127.0.0.1"));
    for host in ["example.org", "evil-example.org", "example.org.evil.net"] {
        assert_eq!(get(&format!("http://{host}/"), &confined("*.example.org")).await, not_listed(host));
    }
}

#[tokio::test]
async fn each_redirect_is_checked_like_the_first_url() {
    let inner = Server::start(|_| answer("200 OK", &[], "secret")).await;
    let targets = [
        "http://10.0.0.1/".to_owned(),
        "http://localhost/".into(),
        "//[::ffff:a9fe:a9fe]/latest/meta-data/".into(),
        inner.url("/"),
        "file:///etc/passwd".into(),
    ];
    let ways = targets.clone();
    let outer = Server::start(move |path| redirect(302, &ways[path[1..].parse::<usize>().unwrap()])).await;
    let reach = open(&[format!("127.0.0.1:{}", outer.port)]);
    let barred = |host: &str, class| EgressError::Barred { host: host.into(), class };
    let expected = [
        barred("10.0.0.1", "private"),
        barred("localhost", "loopback"),
        barred("[::ffff:a9fe:a9fe]", "link-local"),
        barred("127.0.0.1", "loopback"),
        EgressError::Scheme,
    ];
    for (index, expected) in expected.into_iter().enumerate() {
        assert_eq!(get(&outer.url(&format!("/{index}")), &reach).await, Err(expected));
    }
    assert_eq!(inner.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn redirects_are_followed_five_times_and_no_more() {
    let server = Server::start(|path| match path[1..].parse::<u32>().unwrap() {
        0 => answer("200 OK", &[], "there"),
        left => redirect(307, &format!("{}", left - 1)),
    })
    .await;
    let reach = open(&["127.0.0.1".into()]);
    let arrived = get(&server.url("/5"), &reach).await.unwrap();
    assert_eq!((arrived.url.path(), &arrived.body[..]), ("/0", &b"there"[..]));
    assert_eq!(get(&server.url("/6"), &reach).await, Err(EgressError::TooManyRedirects));
}

#[tokio::test]
async fn another_host_gets_neither_headers_nor_bodies() {
    let other = Server::start(|_| answer("200 OK", &[], "")).await;
    let to = other.url("/landed");
    let first = Server::start(move |path| match path {
        "/see-other" => redirect(303, &to),
        "/again" => redirect(307, &to),
        "/near" => redirect(302, "/end"),
        _ => answer("200 OK", &[], ""),
    })
    .await;
    let reach = open(&["127.0.0.1".into()]);
    let post = |path: &str| {
        let mut request = Request::get(first.url(path).parse::<Url>().unwrap());
        request.method = Method::POST;
        request.body = Some("{}".into());
        request.headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer s3cret"));
        let reach = reach.clone();
        async move { Egress::new().send(request, &reach, Limits::default()).await.map(|one| one.status) }
    };
    assert_eq!(post("/see-other").await, Ok(200));
    let landed = other.asked().remove(0);
    assert!(landed.starts_with("GET /landed ") && !landed.contains("s3cret"), "{landed}");

    let host = || "127.0.0.1".to_owned();
    let refused = EgressError::NotSentOn { from: host(), to: host(), method: Method::POST };
    assert_eq!(post("/again").await, Err(refused));
    assert_eq!(other.asked().len(), 1);

    assert_eq!(post("/near").await, Ok(200));
    let end = first.asked().pop().unwrap();
    assert!(end.starts_with("GET /end ") && end.contains("s3cret") && end.ends_with("\r\n\r\n"), "{end}");
}

#[tokio::test]
async fn a_long_body_is_cut_and_said_to_be() {
    let server = Server::start(|_| answer("200 OK", &[], &"x".repeat(1_000_000))).await;
    let response = get(&server.url("/"), &open(&["127.0.0.1".into()])).await.unwrap();
    assert_eq!((response.body.len(), response.cut), (256 * 1024, true));
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let limits = Limits { deadline: Duration::from_millis(100), ..Limits::default() };
    let request = Request::get(url.parse().unwrap());
    let result = Egress::new().send(request, &open(&["127.0.0.1".into()]), limits).await;
    assert_eq!(result, Err(EgressError::TimedOut(limits.deadline)));
}

#[tokio::test]
async fn a_server_that_does_not_begin_to_answer_is_given_up_before_one_that_does_not_end() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let after = Duration::from_millis(100);
    let limits = Limits { head: after, ..Limits::default() };
    let request = Request::get(url.parse().unwrap());
    let result = Egress::new().send(request, &open(&["127.0.0.1".into()]), limits).await;
    assert_eq!(result, Err(EgressError::Silent { host: "127.0.0.1".into(), after }));
}

#[tokio::test]
async fn a_body_that_does_not_end_is_an_error_or_cut_where_it_is() {
    let slow = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}/", slow.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut socket, _)) = slow.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
            held.push(socket);
        }
    });
    let (egress, reach) = (Egress::new(), open(&["127.0.0.1".into()]));
    let limits = Limits { deadline: Duration::from_secs(1), ..Limits::default() };
    let strict = egress.send(Request::get(url.clone()), &reach, limits).await;
    assert_eq!(strict, Err(EgressError::TimedOut(limits.deadline)));
    let limits = Limits { cut_late: true, ..limits };
    let cut = egress.send(Request::get(url), &reach, limits).await.unwrap();
    assert_eq!((&cut.body[..], cut.cut, cut.late), (&b"half"[..], true, true));
}

#[tokio::test]
async fn a_closed_port_and_a_broken_answer_are_told_apart() {
    let reach = open(&["127.0.0.1".into()]);
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let result = get(&format!("http://{closed}/"), &reach).await;
    assert_eq!(result, Err(EgressError::Unreachable("127.0.0.1".into())));
    let server = Server::start(|_| "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".into()).await;
    assert_eq!(get(&server.url("/"), &reach).await, Err(EgressError::Broken("127.0.0.1".into())));
}
