//! A small SMTP server that keeps what it is given; the real one is in `real`.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

/// Mails as they arrived.
pub(crate) type Mails = Arc<Mutex<Vec<String>>>;

pub(crate) fn server() -> (SocketAddr, Mails) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mails = Mails::default();
    let kept = Arc::clone(&mails);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || serve(stream, &kept).ok());
        }
    });
    (address, mails)
}

fn serve(mut stream: std::net::TcpStream, mails: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    stream.write_all(b"220 test\r\n")?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        let verb = line.split([' ', ':']).next().unwrap().trim().to_uppercase();
        match verb.as_str() {
            "EHLO" => stream.write_all(b"250-test\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")?,
            "RCPT" if line.contains("full@") => stream.write_all(b"552 5.2.2 mailbox full\r\n")?,
            "RCPT" if line.contains("busy@") => stream.write_all(b"452 4.2.2 mailbox busy\r\n")?,
            "DATA" => {
                stream.write_all(b"354 go on\r\n")?;
                let mut mail = String::new();
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line)?;
                    if line == ".\r\n" {
                        break;
                    }
                    mail.push_str(line.strip_prefix('.').unwrap_or(&line));
                }
                mails.lock().unwrap().push(mail);
                stream.write_all(b"250 kept\r\n")?;
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n")?;
                return Ok(());
            }
            _ => stream.write_all(b"250 ok\r\n")?,
        }
        line.clear();
    }
    Ok(())
}
