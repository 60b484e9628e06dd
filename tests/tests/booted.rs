//! The agent on real systems: what it sees there is what is known of them by construction.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use evident_tests::booted::Booted;
use evident_tests::roots::Release;
use evident_tests::site::Site;

#[test]
fn boots() {
    let site = Site::new();
    let c = Booted::container(&site, Release::Bookworm, Some("10.77.0.2"), |_| ());
    let m = Booted::machine(&site, Release::Bookworm, "10.77.0.4", |_| ());
    eprintln!(
        "{}",
        String::from_utf8_lossy(&site.command("ip").args(["neigh"]).output().unwrap().stdout)
    );
    c.ok("echo 'module(load=\"imtcp\") input(type=\"imtcp\" port=\"514\")' >/etc/rsyslog.d/in.conf; systemctl restart rsyslog");
    let o = m.run("ip -s neigh; ip route; (time timeout 5 bash -c 'echo hallo >/dev/tcp/10.77.0.2/514'; echo $?; time timeout 5 bash -c 'echo >/dev/tcp/10.77.0.1/22'; ip neigh; ip -s link; ss -tlnp) 2>&1");
    eprintln!("{}", String::from_utf8_lossy(&o.stdout));
    eprintln!(
        "{}",
        c.ok("ip neigh; ip -s link; ss -tln; grep hallo /var/log/syslog || true")
    );
    eprintln!(
        "{}",
        String::from_utf8_lossy(&site.command("ip").args(["neigh"]).output().unwrap().stdout)
    );
}
