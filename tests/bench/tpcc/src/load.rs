//! The initial database, clause 4.3.3.

use std::fmt::Write;
use std::pin::pin;
use std::time::Instant;

use futures_util::SinkExt;
use tokio_postgres::Client;

use crate::random::{NAMES, Random, last_name};
use crate::{Failed, Options, connect, schema};

/// Rows of one COPY.
const COPY_ROWS: usize = 10_000;
const SINCE: &str = "2026-01-01 00:00:00";
pub const DISTRICTS: i32 = 10;

/// Tables that one connection fills in one transaction, which empties them first: nobody else sees
/// such tables, so that a cluster takes their rows as plain writes.
#[derive(Clone, Copy)]
enum Group {
    Places,
    Stock,
    Customers,
    Orders,
}

impl Group {
    fn tables(self) -> &'static str {
        match self {
            Group::Places => "warehouse, district, item",
            Group::Stock => "stock",
            Group::Customers => "customer, history",
            Group::Orders => "orders, order_line, new_order",
        }
    }
}

/// Rows on their way into one table.
struct Rows<'a> {
    client: &'a Client,
    table: &'static str,
    text: String,
    count: usize,
    all: u64,
}

impl<'a> Rows<'a> {
    fn of(client: &'a Client, table: &'static str) -> Rows<'a> {
        Rows { client, table, text: String::new(), count: 0, all: 0 }
    }

    async fn end_row(&mut self) -> Result<(), Failed> {
        self.text.push('\n');
        self.count += 1;
        if self.count >= COPY_ROWS { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Failed> {
        if self.count > 0 {
            let text = std::mem::take(&mut self.text);
            let copy = format!("copy {} from stdin with (format csv)", self.table);
            let mut sink = pin!(self.client.copy_in::<_, std::io::Cursor<String>>(&copy).await?);
            sink.send(std::io::Cursor::new(text)).await?;
            let copied = sink.finish().await?;
            if copied != self.count as u64 {
                return Err(format!("{copied} rows of {} were copied", self.count).into());
            }
            self.all += copied;
            self.count = 0;
        }
        Ok(())
    }
}

/// Adds a row of fields.
macro_rules! row {
    ($rows:expr, $($field:expr),+ $(,)?) => {{
        let mut first = true;
        $(
            if !std::mem::take(&mut first) { $rows.text.push(','); }
            write!($rows.text, "{}", $field)?;
        )+
        let _ = first;
        $rows.end_row().await?;
    }};
}

fn address(random: &mut Random) -> String {
    let (one, two, city) = (random.text(10, 20), random.text(10, 20), random.text(10, 20));
    format!("{one},{two},{city},{},{}", random.text(2, 2), random.zip())
}

async fn items(client: &Client, options: &Options, random: &mut Random) -> Result<u64, Failed> {
    let mut rows = Rows::of(client, "item");
    for id in 1..=options.items {
        let price = f64::from(random.within(100, 10_000)) / 100.0;
        let (image, name) = (random.within(1, 10_000), random.text(14, 24));
        row!(rows, id, image, name, price, random.data());
    }
    rows.flush().await?;
    Ok(rows.all)
}

async fn warehouse(client: &Client, w: i32, random: &mut Random) -> Result<u64, Failed> {
    let mut rows = Rows::of(client, "warehouse");
    let tax = f64::from(random.within(0, 2_000)) / 10_000.0;
    // As much as its customers have paid: 300000 in a database of full size.
    row!(rows, w, random.text(6, 10), address(random), tax, "300000.00");
    rows.flush().await?;
    Ok(rows.all)
}

async fn stock(
    client: &Client,
    options: &Options,
    w: i32,
    random: &mut Random,
) -> Result<u64, Failed> {
    let mut rows = Rows::of(client, "stock");
    for item in 1..=options.items {
        let infos: Vec<String> = (0..DISTRICTS).map(|_| random.text(24, 24)).collect();
        let quantity = random.within(10, 100);
        row!(rows, w, item, quantity, infos.join(","), 0, 0, 0, random.data());
    }
    rows.flush().await?;
    Ok(rows.all)
}

async fn district(
    client: &Client,
    options: &Options,
    w: i32,
    d: i32,
    random: &mut Random,
) -> Result<u64, Failed> {
    let n = options.customers;
    let mut rows = Rows::of(client, "district");
    let tax = f64::from(random.within(0, 2_000)) / 10_000.0;
    row!(rows, w, d, random.text(6, 10), address(random), tax, "30000.00", n + 1);
    rows.flush().await?;
    Ok(rows.all)
}

async fn customers(
    client: &Client,
    options: &Options,
    w: i32,
    d: i32,
    random: &mut Random,
) -> Result<u64, Failed> {
    let n = options.customers;
    let mut customers = Rows::of(client, "customer");
    let mut history = Rows::of(client, "history");
    for c in 1..=n {
        let last = if c <= NAMES { last_name(c - 1) } else { random.name_to_load() };
        let credit = if random.percent(10) { "BC" } else { "GC" };
        let discount = f64::from(random.within(0, 5_000)) / 10_000.0;
        let (first, phone) = (random.text(8, 16), random.digits(16));
        let data = random.text(300, 500);
        let paid = paid(options);
        row!(
            customers,
            w,
            d,
            c,
            first,
            "OE",
            last,
            address(random),
            phone,
            SINCE,
            credit,
            "50000.00",
            discount,
            format!("-{paid}"),
            paid,
            1,
            0,
            data
        );
        row!(history, c, d, w, d, w, SINCE, paid, random.text(12, 24));
    }
    customers.flush().await?;
    history.flush().await?;
    Ok(customers.all + history.all)
}

/// What each customer has paid: district and warehouse have the sums.
fn paid(options: &Options) -> String {
    format!("{:.2}", 30_000.0 / f64::from(options.customers))
}

async fn orders(
    client: &Client,
    options: &Options,
    w: i32,
    d: i32,
    random: &mut Random,
) -> Result<u64, Failed> {
    let n = options.customers;
    let delivered = n - n * 3 / 10;
    let mut orders = Rows::of(client, "orders");
    let mut lines = Rows::of(client, "order_line");
    let mut new = Rows::of(client, "new_order");
    for (at, customer) in random.permutation(n).into_iter().enumerate() {
        let (o, count) = (at as i32 + 1, random.within(5, 15));
        let done = o <= delivered;
        let carrier = if done { random.within(1, 10).to_string() } else { String::new() };
        row!(orders, w, d, o, customer, SINCE, carrier, count, 1);
        for number in 1..=count {
            let item = random.within(1, options.items);
            let at = if done { SINCE } else { "" };
            let cents = if done { 0 } else { random.within(1, 999_999) };
            let amount = format!("{}.{:02}", cents / 100, cents % 100);
            row!(lines, w, d, o, number, item, w, at, 5, amount, random.text(24, 24));
        }
        if !done {
            row!(new, w, d, o);
        }
    }
    orders.flush().await?;
    lines.flush().await?;
    new.flush().await?;
    Ok(orders.all + lines.all + new.all)
}

/// Fills a group's tables.
async fn fill(options: &Options, group: Group) -> Result<u64, Failed> {
    let client = &connect(options).await?;
    let random = &mut Random::new(options.seed * 1_000_003 + group as u64);
    client.batch_execute(&format!("begin; truncate {}", group.tables())).await?;
    let mut all = match group {
        Group::Places => items(client, options, random).await?,
        _ => 0,
    };
    for w in 1..=options.warehouses {
        all += match group {
            Group::Places => warehouse(client, w, random).await?,
            Group::Stock => stock(client, options, w, random).await?,
            Group::Customers | Group::Orders => 0,
        };
        for d in 1..=DISTRICTS {
            all += match group {
                Group::Places => district(client, options, w, d, random).await?,
                Group::Customers => customers(client, options, w, d, random).await?,
                Group::Orders => orders(client, options, w, d, random).await?,
                Group::Stock => 0,
            };
        }
    }
    client.batch_execute("commit").await?;
    Ok(all)
}

/// Makes and fills the tables.
pub async fn load(options: &Options) -> Result<String, Failed> {
    if 3_000_000 % options.customers != 0 {
        return Err("3000000 cents are not to be shared by so many customers".into());
    }
    let began = Instant::now();
    schema::create(options).await?;
    let groups = [Group::Places, Group::Stock, Group::Customers, Group::Orders];
    let loaders = groups.map(|group| {
        let options = options.clone();
        tokio::task::spawn_local(async move { fill(&options, group).await })
    });
    let mut rows = 0;
    for loader in loaders {
        rows += loader.await??;
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(format!("{{\"rows\": {rows}, \"seconds\": {seconds:.1}}}"))
}
