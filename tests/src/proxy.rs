//! A TCP proxy with faults between the daemon and a server: it delays answers, cuts them short, or
//! lets nothing through.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The current fault of all connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No fault.
    None,
    /// Each piece of an answer is delayed by this duration.
    Slow(Duration),
    /// A connection is cut after this many bytes of answers since the fault was set; new
    /// connections, too.
    CutAfter(usize),
    /// A connection is cut if a piece of an answer equals this; the piece is not passed on.
    CutAnswer(&'static [u8]),
    /// Connections stay open and new ones are accepted, but no byte passes either way until the
    /// fault changes.
    BlackHole,
}

/// A proxy before one server. It ends with all its connections when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    cuts: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Proxy {
    /// A proxy before the server at this address, without a fault so far.
    pub async fn before(server: SocketAddr) -> Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (fault, faults) = watch::channel(Fault::None);
        let cuts = Arc::new(AtomicUsize::new(0));
        let mut task = JoinSet::new();
        task.spawn(accept(listener, server, faults, Arc::clone(&cuts)));
        Ok(Proxy { address, fault, cuts, _task: task })
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same URL with this proxy in the server's place.
    pub fn url(&self, url: &str, server: SocketAddr) -> String {
        url.replacen(&server.to_string(), &self.address.to_string(), 1)
    }

    /// Sets the fault for all bytes from now on.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// How many connections were cut in the middle.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }
}

async fn accept(
    listener: TcpListener,
    server: SocketAddr,
    faults: watch::Receiver<Fault>,
    cuts: Arc<AtomicUsize>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        // Without a server, the client's connection ends, as it would without a proxy.
        connections.spawn(serve(client, server, faults.clone(), Arc::clone(&cuts)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(
    client: TcpStream,
    server: SocketAddr,
    faults: watch::Receiver<Fault>,
    cuts: Arc<AtomicUsize>,
) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    if client.set_nodelay(true).and(server.set_nodelay(true)).is_err() {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // The end of either side ends the other, and with it both connections.
    tokio::select! {
        () = questions(from_client, to_server, faults.clone()) => (),
        () = answers(from_server, to_client, faults, cuts) => (),
    }
}

async fn questions(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut faults: watch::Receiver<Fault>,
) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        out_of_the_hole(&mut faults).await;
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut faults: watch::Receiver<Fault>,
    cuts: Arc<AtomicUsize>,
) {
    let mut bytes = vec![0; 16 * 1024];
    let mut through = 0;
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if faults.has_changed().unwrap_or(false) {
            through = 0;
        }
        out_of_the_hole(&mut faults).await;
        let fault = *faults.borrow_and_update();
        let mut passing = count;
        match fault {
            Fault::Slow(time) => tokio::time::sleep(time).await,
            Fault::CutAfter(limit) => passing = count.min(limit - limit.min(through)),
            Fault::CutAnswer(answer) if &bytes[..count] == answer => passing = 0,
            Fault::None | Fault::BlackHole | Fault::CutAnswer(_) => (),
        }
        if to.write_all(&bytes[..passing]).await.is_err() {
            return;
        }
        through += passing;
        if passing < count {
            cuts.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
}

async fn out_of_the_hole(faults: &mut watch::Receiver<Fault>) {
    // An error means that the proxy has ended, and this task ends with it.
    let _ = faults.wait_for(|fault| *fault != Fault::BlackHole).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers everything twice, and a client that reaches it through a proxy.
    async fn echo() -> (Proxy, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut from, mut to) = stream.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from, &mut to).await });
            }
        });
        let proxy = Proxy::before(server).await.unwrap();
        let client = TcpStream::connect(proxy.address()).await.unwrap();
        (proxy, client)
    }

    #[tokio::test]
    async fn a_proxy_without_a_fault_passes_everything() {
        let (_proxy, mut client) = echo().await;
        let mut answer = [0; 5];
        client.write_all(b"hello").await.unwrap();
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"hello");
    }

    #[tokio::test]
    async fn an_answer_is_cut_in_its_middle() {
        let (proxy, mut client) = echo().await;
        proxy.set(Fault::CutAfter(3));
        client.write_all(b"hello").await.unwrap();
        let mut answer = Vec::new();
        // The end may be a reset.
        let _ = client.read_to_end(&mut answer).await;
        assert_eq!((answer.as_slice(), proxy.cuts()), (&b"hel"[..], 1));
    }

    #[tokio::test]
    async fn bytes_in_a_black_hole_arrive_after_it() {
        let (proxy, mut client) = echo().await;
        proxy.set(Fault::BlackHole);
        client.write_all(b"hello").await.unwrap();
        let mut answer = [0; 5];
        let early =
            tokio::time::timeout(Duration::from_millis(100), client.read_exact(&mut answer)).await;
        assert!(early.is_err(), "{early:?}");
        proxy.set(Fault::None);
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"hello");
    }
}
