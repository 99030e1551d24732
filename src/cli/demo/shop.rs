//! A shop with customers, products, orders and their items, made by statements that any client
//! could send.

use std::net::SocketAddr;
use std::sync::Arc;

use super::silent::Quiet;
use crate::cli::serve::{Served, announce, serve};
use crate::cli::{Auth, ClusterArgs, DemoArgs, SharedArgs, StartArgs, StoreKind};
use crate::error::Result;
use crate::session::Database;

const USER: &str = "demo";
const DATABASE: &str = "shop";
const CUSTOMERS: u32 = 5_000;
const PRODUCTS: u32 = 500;
/// Orders made by one statement.
const ORDERS_STEP: u32 = 10_000;

/// Serves the sample until told to stop, then throws it away.
pub(super) fn run(args: DemoArgs) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("sluice-demo-").tempdir()?;
    let start = StartArgs {
        shared: SharedArgs::default(),
        store: StoreKind::Embedded,
        data: Some(folder.path().to_path_buf()),
        cluster: ClusterArgs::default(),
        auth: Auth::Trust,
        user: USER.to_owned(),
        password: None,
        database: DATABASE.to_owned(),
        server: args.server,
    };
    let place = folder.path().display().to_string();
    let orders = args.orders;
    serve(start, move |served: Served| async move {
        for line in banner(served.address, &place) {
            announce(&line);
        }
        fill(&served.database, orders).await?;
        announce("The sample data is complete.");
        Ok(())
    })
}

fn banner(address: SocketAddr, place: &str) -> Vec<String> {
    let (host, port) = (address.ip(), address.port());
    vec![
        format!("sluice demo is ready. Data: {place} (thrown away at the end; no passwords)."),
        String::new(),
        format!("  psql \"postgres://{USER}@{host}:{port}/{DATABASE}\""),
        String::new(),
        "Paste there, for instance:".to_owned(),
        "  \\d orders".to_owned(),
        "  begin; update products set stock = stock - 1 where id = 7 returning *; commit;"
            .to_owned(),
        "  select c.country, count(*), sum(o.total) from orders o join customers c on \
         c.id = o.customer_id group by 1 order by 3 desc;"
            .to_owned(),
        String::new(),
        "Orders are being made in the background. Ctrl-C ends it all.".to_owned(),
    ]
}

async fn fill(database: &Arc<Database>, orders: u32) -> Result<()> {
    let mut session = Quiet::start(database, USER, DATABASE)?;
    session.run(SCHEMA.to_owned()).await?;
    session
        .run(format!(
            "insert into customers select x, 'Customer ' || x,
            (array['DE','FR','US','JP','BR','IN','GB','KE'])[1 + x * 7 % 8],
            date '2020-01-01' + (x * 37 % 1500) from generate_series(1, {CUSTOMERS}) x"
        ))
        .await?;
    session
        .run(format!(
            "insert into products select x, 'Product ' || x, (x * 7919 % 10000)::numeric / 100 + 1,
            100 + x * 31 % 900 from generate_series(1, {PRODUCTS}) x"
        ))
        .await?;
    let mut from = 1;
    while from <= orders {
        let to = orders.min(from + ORDERS_STEP - 1);
        session.run(order_items(from, to)).await?;
        session.run(order_heads(from, to)).await?;
        from = to + 1;
    }
    Ok(())
}

const SCHEMA: &str = "
create table customers (id int primary key, name text not null, country char(2), since date);
create table products (id int primary key, name text not null, price numeric(10, 2) not null,
    stock int not null check (stock >= 0));
create table orders (id int primary key, customer_id int not null, placed timestamptz not null,
    status text not null default 'new', total numeric(12, 2));
create index orders_customer on orders (customer_id);
create table order_items (order_id int, line int, product_id int not null, quantity int not null,
    price numeric(10, 2) not null, primary key (order_id, line));";

fn order_items(from: u32, to: u32) -> String {
    format!(
        "insert into order_items select o, l, p.id, 1 + (o * 13 + l * 7) % 5, p.price
         from generate_series({from}, {to}) o, generate_series(1, 1 + o % 7) l, products p
         where p.id = 1 + (o * 31 + l * 17) % {PRODUCTS}"
    )
}

fn order_heads(from: u32, to: u32) -> String {
    format!(
        "insert into orders select i.order_id, 1 + i.order_id * 11 % {CUSTOMERS},
            timestamptz '2024-01-01' + i.order_id * interval '5 minutes',
            (array['new','paid','shipped','done'])[1 + i.order_id % 4],
            sum(i.quantity * i.price)
         from order_items i where i.order_id between {from} and {to} group by i.order_id"
    )
}
